// SPDX-License-Identifier: GPL-2.0-only

//! Memory barriers between the CPU and a device that reads and writes coherent memory.
//!
//! See `Documentation/memory-barriers.txt`, "KERNEL I/O BARRIER EFFECTS".

use crate::bindings;

/// Orders reads of coherent memory: what is read after it is not older than what was read before.
///
/// Between the read of a descriptor's "done" bit and the reads of its other fields.
#[inline(always)]
pub fn dma_rmb() {
    // SAFETY: A barrier has no requirements.
    unsafe { bindings::dma_rmb() };
}

/// Orders writes to coherent memory: the device sees those before it before those after it.
///
/// Between the writes of a descriptor and whatever hands it to the device.
#[inline(always)]
pub fn dma_wmb() {
    // SAFETY: A barrier has no requirements.
    unsafe { bindings::dma_wmb() };
}
