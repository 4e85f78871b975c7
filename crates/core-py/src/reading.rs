//! The memory that reads lie in: one array for all connections of an engine, since a read is used up before the next begins.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView, PySlice};

/// The most that one read brings. What is written of it must stay below 128 KiB, from where on glibc takes fresh pages of the kernel
/// for each block, and gives them back with it (ADR 0111).
const WHOLE: usize = 96 * 1024;

/// The most while peers do not take what is read for them: it is kept until they do.
const SMALL: isize = 16 * 1024;

/// The array, and what of it a read is offered.
#[pyclass(frozen)]
pub struct Reading {
    array: Py<PyByteArray>,
    whole: Py<PyMemoryView>,
    small: Py<PyAny>,
}

impl Reading {
    pub fn new(py: Python<'_>) -> PyResult<Self> {
        let array = PyByteArray::new_with(py, WHOLE, |_| Ok(()))?;
        let whole = PyMemoryView::from(&array)?;
        let small = whole.get_item(PySlice::new(py, 0, SMALL, 1))?;
        Ok(Self { array: array.unbind(), whole: whole.unbind(), small: small.unbind() })
    }

    /// Return where the next read goes.
    pub fn offer(&self, py: Python<'_>, small: bool) -> Py<PyAny> {
        if small {
            self.small.clone_ref(py)
        } else {
            self.whole.clone_ref(py).into_any()
        }
    }

    /// Return the `count` bytes that a read has brought, fewer if there cannot be so many.
    #[allow(unsafe_code)] // a copy of each read would be a fifth of what a large body costs
    pub fn read<'a>(&'a self, py: Python<'a>, count: usize) -> &'a [u8] {
        let array = self.array.bind(py);
        // SAFETY: the array never moves, since the views that `self` holds keep it from being resized, and it lives as long as
        // `self`. The event loop writes to it before it tells of a read and after whoever was told has returned; who is told
        // keeps none of it (`Receiver::hand_over`), and no other code has the array.
        let bytes = unsafe { array.as_bytes() };
        bytes.get(..count).unwrap_or(bytes)
    }
}
