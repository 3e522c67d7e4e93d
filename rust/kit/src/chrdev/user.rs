// SPDX-License-Identifier: GPL-2.0-only

//! The process's end of a read and a write.
//!
//! A process may give an address that is not mapped, or not mapped from some byte on. The bytes
//! copied before count: the call succeeds with their number, and only a call that has copied none
//! fails with `EFAULT`. So these functions return a count, and the driver has to continue with that
//! count, not with the number that it asked for.

use kernel::{
    alloc::KVVec,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*, //
};

/// Destination of a read's bytes in the process.
pub struct ToUser<'a>(&'a mut IovIterDest<'a>);

impl<'a> ToUser<'a> {
    pub(super) fn new(iov: &'a mut IovIterDest<'a>) -> Self {
        Self(iov)
    }

    /// Number of bytes that fit.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no byte fits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies to the process, behind the bytes copied before, as many bytes as fit. Returns the
    /// number of copied bytes.
    ///
    /// May sleep: the pages may have to be fetched, even by another process (userfaultfd(2)), for
    /// an unlimited time. Do not call it under a lock that other calls wait for.
    pub fn copy(&mut self, data: &[u8]) -> Result<usize> {
        let asked = data.len().min(self.len());
        copied(asked, self.0.copy_to_iter(&data[..asked]))
    }
}

/// Source of a write's bytes in the process.
pub struct FromUser<'a>(&'a mut IovIterSource<'a>);

impl<'a> FromUser<'a> {
    pub(super) fn new(iov: &'a mut IovIterSource<'a>) -> Self {
        Self(iov)
    }

    /// Number of bytes left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no byte is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from the process, behind the bytes copied before, as many bytes as are left and fit
    /// into `to`. Returns the number of copied bytes; the bytes of `to` behind them are undefined.
    ///
    /// May sleep, as [`ToUser::copy`].
    pub fn copy(&mut self, to: &mut [u8]) -> Result<usize> {
        let asked = to.len().min(self.len());
        copied(asked, self.0.copy_from_iter(&mut to[..asked]))
    }

    /// Copies at most that many bytes from the process into new memory. A process offers up to 2
    /// GiB, so the driver gives the number that it can use.
    pub fn take(&mut self, limit: usize) -> Result<KVVec<u8>> {
        let asked = limit.min(self.len());
        let mut bytes = KVVec::from_elem(0, asked, GFP_KERNEL)?;
        let arrived = self.copy(&mut bytes)?;
        bytes.truncate(arrived);
        Ok(bytes)
    }
}

/// The result of a copy of `asked` bytes.
fn copied(asked: usize, arrived: usize) -> Result<usize> {
    if arrived == 0 && asked != 0 {
        Err(EFAULT)
    } else {
        Ok(arrived)
    }
}
