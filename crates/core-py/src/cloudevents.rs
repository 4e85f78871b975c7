//! Events as Python's values: a dictionary of attributes and the octets of the data, and the headers of binary mode.

use std::borrow::Cow;

use eventmesh_core::cloudevents::{self, Attributes, Event, Field, Mode, Refusal, Value};
use pyo3::create_exception;
use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};

create_exception!(eventmesh.core._core, EventFault, PyValueError);
create_exception!(eventmesh.core._core, UnknownEventFormat, PyValueError);

/// What an event is to Python: its attributes and its data.
type Made<'py> = (Bound<'py, PyDict>, Option<Bound<'py, PyBytes>>);

/// Return the mode in which a message carries events; `None`: it is none.
#[pyfunction]
pub fn event_mode(headers: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
    let pairs = concerned(headers)?;
    Ok(Mode::of(&fields(&pairs)?).map(Mode::name))
}

/// Return the event of a message.
#[pyfunction]
pub fn decode_event<'py>(headers: &Bound<'py, PyAny>, body: &Bound<'py, PyBytes>) -> PyResult<Made<'py>> {
    let pairs = concerned(headers)?;
    let fields = fields(&pairs)?;
    let event = cloudevents::decode(&fields, body.as_bytes()).map_err(raised)?;
    made(&event, body)
}

/// Return the event that is all of `body`.
#[pyfunction]
pub fn decode_structured_event<'py>(content_type: &str, body: &Bound<'py, PyBytes>) -> PyResult<Made<'py>> {
    let event = cloudevents::decode_structured(content_type.as_bytes(), body.as_bytes()).map_err(raised)?;
    made(&event, body)
}

/// Return the events of a batch.
#[pyfunction]
pub fn decode_event_batch<'py>(
    headers: &Bound<'py, PyAny>,
    body: &Bound<'py, PyBytes>,
    limit: usize,
) -> PyResult<Vec<Made<'py>>> {
    let pairs = concerned(headers)?;
    let fields = fields(&pairs)?;
    let events = cloudevents::decode_batch(&fields, body.as_bytes(), limit).map_err(raised)?;
    events.iter().map(|event| made(event, body)).collect()
}

/// Raise `EventFault` unless `attributes` are those of an event; with `changed` only values in it are looked at.
#[pyfunction]
#[pyo3(signature = (attributes, changed=None))]
pub fn check_event(attributes: &Bound<'_, PyDict>, changed: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    if let Some(changed) = changed.filter(|changed| is_free(changed)) {
        return check_changed(attributes, changed);
    }
    let entries: Vec<_> = attributes.iter().collect();
    let mut read = Attributes::default();
    for (name, value) in &entries {
        let name = text(name.cast()?, "")?;
        read.push(Cow::Borrowed(name), attribute(name, value)?).map_err(raised)?;
    }
    cloudevents::check(&read).map_err(raised)
}

/// Return the headers of an event in binary mode, the attribute `without` left out; a value that is safe is not copied.
#[pyfunction]
#[pyo3(signature = (attributes, without=""))]
pub fn encode_event<'py>(attributes: &Bound<'py, PyAny>, without: &str) -> PyResult<Bound<'py, PyList>> {
    let py = attributes.py();
    let (headers, mut content_type) = (PyList::empty(py), None);
    for entry in attributes.call_method0(intern!(py, "items"))?.try_iter()? {
        let (name, value) = entry?.extract::<(Bound<'py, PyString>, Bound<'py, PyAny>)>()?;
        match text(&name, "")? {
            left_out if left_out == without => {}
            "datacontenttype" => content_type = Some(value),
            name => headers.append((header(py, name), header_value(name, value)?))?,
        }
    }
    if let Some(value) = content_type.filter(|value| value.is_truthy().unwrap_or(true)) {
        headers.append((intern!(py, "content-type"), value))?;
    }
    Ok(headers)
}

fn header_value<'py>(name: &str, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let written = {
        let read = attribute(name, &value)?;
        let plain = read.text();
        match cloudevents::encode_value(&plain) {
            Cow::Borrowed(_) if matches!(read, Value::Text(_)) => None,
            written => Some(PyString::new(value.py(), &written).into_any()),
        }
    };
    Ok(written.unwrap_or(value))
}

/// Return the header of an attribute; those that nearly all events have are there already.
fn header<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    match name {
        "id" => intern!(py, "ce-id").clone(),
        "source" => intern!(py, "ce-source").clone(),
        "specversion" => intern!(py, "ce-specversion").clone(),
        "type" => intern!(py, "ce-type").clone(),
        "time" => intern!(py, "ce-time").clone(),
        "subject" => intern!(py, "ce-subject").clone(),
        "knativearrivaltime" => intern!(py, "ce-knativearrivaltime").clone(),
        _ => PyString::new(py, &format!("{}{name}", cloudevents::PREFIX)),
    }
}

/// Return whether no attribute is among these that every event must have.
fn is_free(changed: &Bound<'_, PyDict>) -> bool {
    cloudevents::REQUIRED.iter().all(|name| !changed.contains(name).unwrap_or(true))
}

fn check_changed(attributes: &Bound<'_, PyDict>, changed: &Bound<'_, PyDict>) -> PyResult<()> {
    cloudevents::check_count(attributes.len()).map_err(raised)?;
    for (name, _) in changed {
        let Some(value) = attributes.get_item(&name)? else { continue };
        let name = text(name.cast()?, "")?;
        cloudevents::check_one(name, &attribute(name, &value)?).map_err(raised)?;
    }
    Ok(())
}

/// Return a text as UTF-8; `of` names the attribute that it is the value of, if it is one.
fn text<'a>(text: &'a Bound<'_, PyString>, of: &str) -> PyResult<&'a str> {
    text.to_str().or_else(|error| half(text, of, &error))
}

/// Return whether data of a media type is JSON.
#[pyfunction]
pub fn is_json_type(content_type: &str) -> bool {
    cloudevents::is_json(content_type)
}

/// Add what events need to the module.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("EventFault", module.py().get_type::<EventFault>())?;
    module.add("UnknownEventFormat", module.py().get_type::<UnknownEventFormat>())?;
    module.add("MAX_EVENT_ATTRIBUTES", cloudevents::MAX_ATTRIBUTES)?;
    module.add("MAX_ATTRIBUTE_NAME_LENGTH", cloudevents::MAX_NAME_LENGTH)?;
    module.add("MAX_ATTRIBUTE_VALUE_BYTES", cloudevents::MAX_VALUE_BYTES)?;
    module.add("MAX_EVENT_DEPTH", cloudevents::MAX_DEPTH)?;
    module.add("REQUIRED_ATTRIBUTES", PyTuple::new(module.py(), cloudevents::REQUIRED)?)?;
    module.add_function(wrap_pyfunction!(event_mode, module)?)?;
    module.add_function(wrap_pyfunction!(decode_event, module)?)?;
    module.add_function(wrap_pyfunction!(decode_event_batch, module)?)?;
    module.add_function(wrap_pyfunction!(decode_structured_event, module)?)?;
    module.add_function(wrap_pyfunction!(check_event, module)?)?;
    module.add_function(wrap_pyfunction!(encode_event, module)?)?;
    module.add_function(wrap_pyfunction!(is_json_type, module)?)
}

type Pair<'py> = (Bound<'py, PyString>, Bound<'py, PyString>);

/// Return the headers that say something of events.
fn concerned<'py>(headers: &Bound<'py, PyAny>) -> PyResult<Vec<Pair<'py>>> {
    let mut pairs = Vec::with_capacity(8);
    for pair in headers.try_iter()? {
        let pair = pair?.cast_into::<PyTuple>()?;
        let name = pair.get_item(0)?.cast_into::<PyString>()?;
        if cloudevents::concerns(name.to_str()?) {
            pairs.push((name, pair.get_item(1)?.cast_into::<PyString>()?));
        }
    }
    Ok(pairs)
}

fn fields<'a>(pairs: &'a [Pair<'_>]) -> PyResult<Vec<Field<'a>>> {
    pairs.iter().map(|(name, value)| Ok((name.to_str()?, octets(value.to_str()?)))).collect()
}

/// Return the octets that stand for a header's value as the core hands it over; a character that is none of them is lost.
fn octets(value: &str) -> Cow<'_, [u8]> {
    if value.is_ascii() {
        return Cow::Borrowed(value.as_bytes());
    }
    Cow::Owned(value.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect())
}

/// Return an event as Python has it. Data that is the whole body is that very object: nothing is copied.
fn made<'py>(event: &Event<'_>, body: &Bound<'py, PyBytes>) -> PyResult<Made<'py>> {
    let py = body.py();
    let attributes = PyDict::new(py);
    for (name, value) in event.attributes.iter() {
        let name = known(py, name);
        match value {
            Value::Text(text) => attributes.set_item(name, PyString::new(py, text))?,
            Value::Integer(number) => attributes.set_item(name, *number)?,
            Value::Boolean(truth) => attributes.set_item(name, *truth)?,
        }
    }
    let data = event.data.as_ref().map(|data| {
        let whole = body.as_bytes();
        let is_body = data.as_ptr() == whole.as_ptr() && data.len() == whole.len();
        if is_body {
            body.clone()
        } else {
            PyBytes::new(py, data)
        }
    });
    Ok((attributes, data))
}

/// Return a name as a text; those that nearly all events have are there already.
fn known<'py>(py: Python<'py>, name: &str) -> Bound<'py, PyString> {
    match name {
        "id" => intern!(py, "id").clone(),
        "source" => intern!(py, "source").clone(),
        "specversion" => intern!(py, "specversion").clone(),
        "type" => intern!(py, "type").clone(),
        "time" => intern!(py, "time").clone(),
        "subject" => intern!(py, "subject").clone(),
        "dataschema" => intern!(py, "dataschema").clone(),
        "datacontenttype" => intern!(py, "datacontenttype").clone(),
        _ => PyString::new(py, name),
    }
}

fn attribute<'a>(name: &str, value: &'a Bound<'_, PyAny>) -> PyResult<Value<'a>> {
    if let Ok(value) = value.cast::<PyString>() {
        return Ok(Value::Text(Cow::Borrowed(text(value, name)?)));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Value::Boolean(truth.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        let digits = || value.str().map_or_else(|_| "an integer".to_owned(), |digits| digits.to_string());
        let number = value.extract().map_err(|_| raised(cloudevents::out_of_range(name, &digits())))?;
        return Ok(Value::Integer(number));
    }
    Err(PyTypeError::new_err(format!(
        "attribute {name:?} is a {}: an attribute is a str, int or bool",
        value.get_type()
    )))
}

/// Return the fault of a text that holds half of a surrogate pair: Python's may, nobody else's.
fn half<T>(text: &Bound<'_, PyString>, name: &str, error: &PyErr) -> PyResult<T> {
    let py = text.py();
    if !error.is_instance_of::<PyUnicodeEncodeError>(py) {
        return Err(error.clone_ref(py));
    }
    let at: usize = error.value(py).getattr(intern!(py, "start"))?.extract()?;
    let found: u32 = text
        .get_item(at)?
        .call_method1("encode", ("utf-16-be", "surrogatepass"))?
        .extract::<[u8; 2]>()
        .map(|unit| u16::from_be_bytes(unit).into())?;
    Err(raised(cloudevents::forbidden(name, found)))
}

fn raised(refusal: Refusal) -> PyErr {
    match refusal {
        Refusal::Invalid { attribute, problem } => EventFault::new_err((attribute, problem)),
        Refusal::UnknownFormat(problem) => UnknownEventFormat::new_err(problem),
    }
}
