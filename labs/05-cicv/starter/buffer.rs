// SPDX-License-Identifier: GPL-2.0-only

//! The memory behind the device: a capacity that is fixed, and a length that grows with what is
//! written.

use kernel::prelude::*;

/// Bytes, as many as were written, and room for more.
///
/// # Invariants
///
/// `len` is no more than `bytes` has. What lies behind it is left over from before: nobody reads it.
pub(crate) struct Buffer {
    bytes: KVVec<u8>,
    len: usize,
}

impl Buffer {
    pub(crate) fn new(capacity: usize) -> Result<Self> {
        Ok(Self {
            bytes: KVVec::from_elem(0, capacity, GFP_KERNEL)?,
            len: 0,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// What there is from an offset on, so many bytes at most. Nothing at the end, or behind it.
    pub(crate) fn from(&self, offset: u64, most: usize) -> &[u8] {
        // YOURS (hello, ends): the bytes from `offset` on, `most` at most. Not one that was never written.
        let _ = (offset, most);
        &[]
    }

    /// Puts bytes at an offset, as many as there is room for. Returns how many; none where the
    /// offset is the capacity, or beyond.
    ///
    /// Between the old end and the offset there are zeros then, as in a file.
    pub(crate) fn put(&mut self, offset: u64, data: &[u8]) -> usize {
        // YOURS (hello, capacity): copy as many of `data` to `offset` as there is room for; return how many.
        // YOURS (offset): what lies between the old end and `offset` becomes zeros.
        let _ = (offset, data);
        0
    }
}
