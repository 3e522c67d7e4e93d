// SPDX-License-Identifier: GPL-2.0-only

//! Calls C that the kernel crate has no bindings for: an inline function of the kernel, a function
//! and a structure of the module's own, and an exported function of the kernel.
//!
//! `bindgen.mk` of the kit makes `c_bindings.rs` from `c_bindings.h`; `helpers.c` is an ordinary
//! object of the module. This module does not need the kit crate.

use kernel::prelude::*;

/// The bindings, and the attributes and imports that they need.
#[allow(
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub
)]
mod bindings {
    use kernel::ffi;
    use pin_init::MaybeZeroable;

    include!(concat!(env!("R4L_GEN"), "/c_bindings.rs"));
}

module! {
    type: CFromRust,
    name: "c_from_rust",
    authors: ["The r4l authors"],
    description: "Calling C from Rust",
    license: "GPL",
}

struct CFromRust;

impl kernel::Module for CFromRust {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The function has no requirements.
        let weight = unsafe { bindings::c_from_rust_hweight32(0xf0f0) };
        pr_info!("hweight32(0xf0f0) = {}\n", weight);

        let mut sum = bindings::c_from_rust_sum { total: 0, count: 0 };
        for value in [40, 2] {
            // SAFETY: `sum` is valid and has no other reference.
            unsafe { bindings::c_from_rust_add(&mut sum, value) };
        }
        pr_info!("sum of {} values = {}\n", sum.count, sum.total);

        // SAFETY: The function has no requirements.
        let random = unsafe { bindings::get_random_u32() };
        // SAFETY: As above.
        let weight = unsafe { bindings::c_from_rust_hweight32(random) };
        pr_info!(
            "version {}, a random word with {} of 32 bits set\n",
            bindings::C_FROM_RUST_VERSION,
            weight
        );
        Ok(CFromRust)
    }
}

impl Drop for CFromRust {
    fn drop(&mut self) {
        pr_info!("exit\n");
    }
}
