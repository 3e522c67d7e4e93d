// SPDX-License-Identifier: GPL-2.0-only

//! Memory barriers between the CPU and a device that reads and writes coherent memory, and between
//! CPUs.
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

/// Orders all reads and writes of memory before it with all those after it, for other CPUs to see.
#[inline(always)]
pub(crate) fn smp_mb() {
    // SAFETY: A barrier has no requirements.
    unsafe { bindings::smp_mb() };
}
