// SPDX-License-Identifier: GPL-2.0-only

//! The two ends of a read and a write that lie in the process.
//!
//! A process may give an address that is not there, or is not there from some byte on. What was
//! copied before counts: the call succeeds with so many bytes, and only one that has copied none
//! fails with `EFAULT`. So these functions return a count, and the driver goes on by that, not by
//! what it has asked for.

use kernel::{
    alloc::KVVec,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*, //
};

/// Where a read puts its bytes.
pub struct ToUser<'a>(&'a mut IovIterDest<'a>);

impl<'a> ToUser<'a> {
    pub(super) fn new(iov: &'a mut IovIterDest<'a>) -> Self {
        Self(iov)
    }

    /// How many bytes there is room for.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is room for none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies to the process, behind what was copied before, as much as there is room for. Returns
    /// how many bytes arrived.
    ///
    /// May sleep: the pages may have to be fetched, by another process even (userfaultfd(2)), and
    /// that may take for ever. Under a lock that others wait for this is not to be called.
    pub fn copy(&mut self, data: &[u8]) -> Result<usize> {
        let asked = data.len().min(self.len());
        copied(asked, self.0.copy_to_iter(&data[..asked]))
    }
}

/// Where a write gets its bytes from.
pub struct FromUser<'a>(&'a mut IovIterSource<'a>);

impl<'a> FromUser<'a> {
    pub(super) fn new(iov: &'a mut IovIterSource<'a>) -> Self {
        Self(iov)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from the process, behind what was copied before, as much as there is and as there is
    /// room for in `to`. Returns how many bytes arrived; those behind them in `to` mean nothing.
    ///
    /// May sleep, as [`ToUser::copy`].
    pub fn copy(&mut self, to: &mut [u8]) -> Result<usize> {
        let asked = to.len().min(self.len());
        copied(asked, self.0.copy_from_iter(&mut to[..asked]))
    }

    /// The same into memory of its own: so many bytes at most, or what arrived of them. A process
    /// says how many it has, up to 2 GiB, so the driver says how many it can use.
    pub fn take(&mut self, limit: usize) -> Result<KVVec<u8>> {
        let asked = limit.min(self.len());
        let mut bytes = KVVec::from_elem(0, asked, GFP_KERNEL)?;
        let arrived = self.copy(&mut bytes)?;
        bytes.truncate(arrived);
        Ok(bytes)
    }
}

/// What a copy that was to be of `asked` bytes has come to.
fn copied(asked: usize, arrived: usize) -> Result<usize> {
    if arrived == 0 && asked != 0 {
        Err(EFAULT)
    } else {
        Ok(arrived)
    }
}
