// SPDX-License-Identifier: GPL-2.0-only

//! Raw bindings: the kernel crate's own, the kit's private ones over them, and the C helpers.
//!
//! A type that both know and that crosses the border between the kit and the kernel crate
//! (`struct device`, `struct pci_dev`, `struct sk_buff`) is the kernel crate's;
//! `c/bindgen_parameters` lists these. All others are the kit's own, since the kernel crate knows
//! many of them only as opaque. `layout` holds the C compiler's proof of bindgen's layouts.

#[allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unknown_lints,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
mod raw {
    use kernel::ffi;
    use pin_init::{
        MaybeZeroable,
        Zeroable, //
    };

    // Symbols defined here take precedence over those of a glob import.
    use kernel::bindings::*;

    type __kernel_size_t = usize;
    type __kernel_ssize_t = isize;
    type __kernel_ptrdiff_t = isize;

    // SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
    unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

    include!(concat!(env!("R4L_GEN"), "/kit_bindings.rs"));
}

/// Checked at compile time: sizes and offsets; and constants that bindgen cannot evaluate.
#[allow(dead_code)]
pub(crate) mod layout {
    mod bindings {
        pub(super) use super::super::*;
    }

    include!(concat!(env!("R4L_GEN"), "/kit_layout.rs"));
}

pub(crate) use kernel::bindings::{
    cdev,
    device,
    file,
    file_operations,
    kiocb,
    pci_dev,
    pci_irq_vector,
    sk_buff,
    GFP_ATOMIC,
    GFP_KERNEL, //
};
pub(crate) use raw::*;
