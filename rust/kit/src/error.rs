// SPDX-License-Identifier: GPL-2.0-only

//! Errors that the kernel's Rust has no constants for in all kernels that the kit supports.

pub use crate::compat::not_supported;
