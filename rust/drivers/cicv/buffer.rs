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
        let start = usize::try_from(offset).map_or(self.len, |at| at.min(self.len));
        let end = start.saturating_add(most).min(self.len);
        &self.bytes[start..end]
    }

    /// Puts bytes at an offset, as many as there is room for. Returns how many; none where the
    /// offset is the capacity, or beyond.
    ///
    /// Between the old end and the offset there are zeros then, as in a file.
    pub(crate) fn put(&mut self, offset: u64, data: &[u8]) -> usize {
        let capacity = self.bytes.len();
        let start = usize::try_from(offset).map_or(capacity, |at| at.min(capacity));
        let done = data.len().min(capacity - start);
        if done == 0 {
            return 0;
        }
        if start > self.len {
            self.bytes[self.len..start].fill(0);
        }
        self.bytes[start..start + done].copy_from_slice(&data[..done]);
        self.len = self.len.max(start + done);
        done
    }
}
