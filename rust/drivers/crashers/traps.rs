// SPDX-License-Identifier: GPL-2.0-only

//! Mistakes that the processor or a check in the code itself stops at.

use super::c;
use core::{
    hint::black_box,
    ptr::null, //
};
use kernel::{
    prelude::*,
    warn_on, //
};

/// A structure without an instance.
#[repr(C)]
struct Registers {
    control: u32,
    status: u32,
}

/// An oops: reads a field by a pointer that is null.
#[inline(never)]
pub(crate) fn null_dereference() -> Result {
    let registers: *const Registers = black_box(null());
    // marker: oops
    // SAFETY: Broken on purpose: `registers` is not valid for reads, it is null.
    let status = unsafe { (&raw const (*registers).status).read_volatile() };
    pr_info!("status {status}\n");
    Ok(())
}

/// A Rust panic, which is a BUG: an index beyond the end.
#[inline(never)]
pub(crate) fn index_out_of_bounds() -> Result {
    let ring = [0u32; 4];
    let next = black_box(ring.len());
    // marker: panic
    pr_info!("entry {}\n", ring[next]);
    Ok(())
}

/// A WARN.
#[inline(never)]
pub(crate) fn warn() -> Result {
    // marker: warn
    if warn_on!(black_box(true)) {
        pr_info!("warned\n");
    }
    Ok(())
}

/// Undefined behaviour in C: a shift by more bits than the word has. The result may be any number.
#[inline(never)]
pub(crate) fn c_shift_out_of_bounds() -> Result {
    // SAFETY: Broken on purpose: the word has 32 bits.
    let word = unsafe { c::crashers_shift(40) };
    pr_info!("word {word}\n");
    Ok(())
}
