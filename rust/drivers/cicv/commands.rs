// SPDX-License-Identifier: GPL-2.0-only

//! The commands for ioctl(2). Their type is free in the kernel's own list
//! (Documentation/userspace-api/ioctl/ioctl-number.rst).

use kernel::ioctl::{
    _IO,
    _IOR,
    _IOW, //
};

const TYPE: u32 = 0xC1;

/// Empties the device. The file must be open for writing.
pub(crate) const CLEAR: u32 = _IO(TYPE, 0);
/// Number of bytes in the device.
pub(crate) const SIZE: u32 = _IOR::<u64>(TYPE, 1);
/// Capacity of the device in bytes.
pub(crate) const CAPACITY: u32 = _IOR::<u64>(TYPE, 2);
/// Sets whether a read by this file waits at the end (not 0), or returns (0, as after open).
pub(crate) const FOLLOW: u32 = _IOW::<u32>(TYPE, 3);
