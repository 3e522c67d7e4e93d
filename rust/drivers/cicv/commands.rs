// SPDX-License-Identifier: GPL-2.0-only

//! What ioctl(2) can be asked for. The type is one that the kernel's own list
//! (Documentation/userspace-api/ioctl/ioctl-number.rst) has for nobody.

use kernel::ioctl::{
    _IO,
    _IOR,
    _IOW, //
};

const TYPE: u32 = 0xC1;

/// Empties the device. For a file that may be written.
pub(crate) const CLEAR: u32 = _IO(TYPE, 0);
/// How many bytes there are.
pub(crate) const SIZE: u32 = _IOR::<u64>(TYPE, 1);
/// How many bytes there can be.
pub(crate) const CAPACITY: u32 = _IOR::<u64>(TYPE, 2);
/// Whether a read by this file waits at the end (not 0), or returns (0, as when it is opened).
pub(crate) const FOLLOW: u32 = _IOW::<u32>(TYPE, 3);
