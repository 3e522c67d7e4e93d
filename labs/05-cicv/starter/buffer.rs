// SPDX-License-Identifier: GPL-2.0-only

//! The memory behind the device, with a fixed capacity and a length that grows with writes.

use kernel::prelude::*;

/// The written bytes, and room for more.
///
/// # Invariants
///
/// `len` is at most the length of `bytes`. Bytes behind `len` are old and are not read.
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

    /// Returns the bytes from an offset on, `most` at most; none at the end or behind it.
    pub(crate) fn from(&self, offset: u64, most: usize) -> &[u8] {
        // YOURS (hello, ends): return the bytes from `offset` on, `most` at most, and none behind
        // the end.
        let _ = (offset, most);
        &[]
    }

    /// Puts bytes at an offset, as many as fit. Returns their number, which is 0 if the offset is
    /// the capacity or beyond.
    ///
    /// Fills a gap between the old end and the offset with zeros, as in a file.
    pub(crate) fn put(&mut self, offset: u64, data: &[u8]) -> usize {
        // YOURS (hello, capacity): copy as many bytes of `data` to `offset` as fit; return their
        // number.
        // YOURS (offset): fill the bytes between the old end and `offset` with zeros.
        let _ = (offset, data);
        0
    }
}
