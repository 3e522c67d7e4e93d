// SPDX-License-Identifier: GPL-2.0-only

//! The bindings of `c_bindings.h`, and the attributes and imports that they need.

#![allow(
    clippy::all,
    clippy::ptr_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub
)]

use kernel::ffi;
use pin_init::MaybeZeroable;

include!(concat!(env!("R4L_GEN"), "/c_bindings.rs"));
