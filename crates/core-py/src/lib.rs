//! The Python face of the engine: the module `eventmesh.core._core`. It converts values and errors; it decides nothing.

mod cloudevents;
mod engine;
mod keys;
mod ledger;
mod message;
mod orders;
mod pattern;
mod protocol;
mod reading;
mod receiver;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::Engine>()?;
    module.add_class::<protocol::Protocol>()?;
    module.add_class::<receiver::Receiver>()?;
    module.add_function(wrap_pyfunction!(keys::check_keys, module)?)?;
    module.add_function(wrap_pyfunction!(pattern::check_pattern, module)?)?;
    cloudevents::add(module)?;
    module.add_class::<message::Request>()?;
    module.add_class::<message::Response>()
}
