//! Rate limits that several processes have in common: words in memory that all of them map.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use eventmesh_core::engine::Ledger;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Places looked at for a key before the table counts as full: what a request may cost when it nearly is.
const MAX_PROBES: usize = 64;

/// A table of pairs (key, word), open addressing. A key is never removed: limits that are gone keep their place, which a
/// limit of the same name finds again.
pub struct SharedTable {
    buffer: PyBuffer<u64>,
}

impl SharedTable {
    /// Use `memory`, a writable buffer of unsigned 64-bit numbers that begins as zeros. `ValueError` when it is none.
    pub fn new(memory: &Bound<'_, PyAny>) -> PyResult<Self> {
        let fits = |buffer: &PyBuffer<u64>| !buffer.readonly() && buffer.is_c_contiguous() && buffer.item_count() >= 2;
        let buffer = PyBuffer::<u64>::get(memory).ok().filter(fits).ok_or_else(|| {
            PyValueError::new_err(
                "memory: expected a writable, contiguous buffer of at least two unsigned 64-bit numbers",
            )
        })?;
        Ok(Self { buffer })
    }

    fn places(&self) -> usize {
        self.buffer.item_count() / 2
    }

    #[allow(unsafe_code)] // the one place: no safe type stands for memory that another process writes
    fn word(&self, number: usize) -> &AtomicU64 {
        let number = number % self.buffer.item_count();
        // SAFETY: `number` lies within the buffer, which `self` keeps alive and which is aligned for its items (both said by
        // the buffer protocol). All who share the memory touch it through atomics only.
        unsafe { AtomicU64::from_ptr(self.buffer.buf_ptr().cast::<u64>().add(number)) }
    }

    fn find(&self, key: u64) -> Option<&AtomicU64> {
        let places = self.places();
        let first = usize::try_from(key % places as u64).unwrap_or(0);
        for place in (0..places.min(MAX_PROBES)).map(|step| (first + step) % places) {
            let holder = self.word(2 * place);
            let known = match holder.compare_exchange(0, key, Relaxed, Relaxed) {
                Ok(_) => key,
                Err(known) => known,
            };
            if known == key {
                return Some(self.word(2 * place + 1));
            }
        }
        None
    }
}

impl Ledger for SharedTable {
    fn update(&self, key: u64, change: &dyn Fn(u64) -> Option<u64>) -> Option<bool> {
        Some(self.find(key)?.fetch_update(Relaxed, Relaxed, change).is_ok())
    }
}
