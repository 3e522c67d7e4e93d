// SPDX-License-Identifier: GPL-2.0-only

//! DMA memory of a device that needs no hardware: one of the faux bus.

use super::c;
use core::{
    hint::black_box,
    ptr::{
        null,
        null_mut,
        NonNull, //
    }, //
};
use kernel::{
    bindings,
    dma::DataDirection,
    page::Page,
    prelude::*, //
};

/// A device that may do DMA everywhere.
struct Device(NonNull<bindings::faux_device>);

impl Device {
    fn new() -> Result<Self> {
        // SAFETY: The name has an end; without a parent and operations the defaults are taken.
        let device =
            unsafe { bindings::faux_device_create(c"crashers".as_char_ptr(), null_mut(), null()) };
        let device = Self(NonNull::new(device).ok_or(ENODEV)?);
        let raw = device.as_raw();
        // SAFETY: The device is valid, and no other code has a reference to it yet.
        unsafe { (*raw).dma_mask = &raw mut (*raw).coherent_dma_mask };
        // SAFETY: As above.
        kernel::error::to_result(unsafe { bindings::dma_set_mask_and_coherent(raw, u64::MAX) })?;
        Ok(device)
    }

    fn as_raw(&self) -> *mut bindings::device {
        // SAFETY: It is valid for as long as `self` is.
        unsafe { &raw mut (*self.0.as_ptr()).dev }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: It comes from `faux_device_create`, and is destroyed once.
        unsafe { bindings::faux_device_destroy(self.0.as_ptr()) };
    }
}

/// Descriptors in coherent memory, freed on drop, as in a driver's ring.
struct Ring<'a> {
    device: &'a Device,
    memory: NonNull<c_void>,
    handle: bindings::dma_addr_t,
}

impl<'a> Ring<'a> {
    const SIZE: usize = 4096;

    fn new(device: &'a Device) -> Result<Self> {
        let mut handle = 0;
        // SAFETY: The device is valid, and its DMA mask has been set.
        let memory = unsafe {
            bindings::dma_alloc_attrs(
                device.as_raw(),
                Self::SIZE,
                &mut handle,
                bindings::GFP_KERNEL,
                0,
            )
        };
        let memory = NonNull::new(memory).ok_or(ENOMEM)?;
        Ok(Self {
            device,
            memory,
            handle,
        })
    }
}

impl Drop for Ring<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        let (device, memory) = (self.device.as_raw(), self.memory.as_ptr());
        // marker: ring-drop
        // SAFETY: They come from `dma_alloc_attrs` for this device. The caller has to ensure that
        // interrupts are on; two functions below do not, on purpose.
        unsafe { bindings::dma_free_attrs(device, Self::SIZE, memory, self.handle, 0) };
        // With this call last, the compiler would leave this function out of the call trace.
        black_box(());
    }
}

/// DMA-API: ends a mapping twice.
#[inline(never)]
pub(crate) fn unmap_twice() -> Result {
    const SIZE: usize = 64;
    let direction = DataDirection::ToDevice.into();
    let device = Device::new()?;
    let page = Page::alloc_page(GFP_KERNEL)?;
    // SAFETY: Device and page are valid, and the latter longer than the mapping.
    let handle = unsafe {
        bindings::dma_map_page_attrs(device.as_raw(), page.as_ptr(), 0, SIZE, direction, 0)
    };
    // SAFETY: The device is valid.
    if unsafe { c::crashers_dma_failed(device.as_raw().cast(), handle) } {
        return Err(ENOMEM);
    }
    // SAFETY: The mapping is that of above.
    unsafe { bindings::dma_unmap_page_attrs(device.as_raw(), handle, SIZE, direction, 0) };
    // marker: dma-unmap-twice
    // SAFETY: Broken on purpose: there is no such mapping any more.
    unsafe { bindings::dma_unmap_page_attrs(device.as_raw(), handle, SIZE, direction, 0) };
    Ok(())
}

/// Frees coherent memory with interrupts off, although a platform may have to sleep for it.
#[inline(never)]
pub(crate) fn free_with_interrupts_off() -> Result {
    let device = Device::new()?;
    let ring = Ring::new(&device)?;
    // SAFETY: They are enabled again below.
    unsafe { c::crashers_irq_disable() };
    // marker: dma-free-irqs-off
    drop(ring);
    // SAFETY: They were disabled above.
    unsafe { c::crashers_irq_enable() };
    Ok(())
}

/// Frees a driver's ring under a lock that disables interrupts: the same mistake, less obvious.
#[inline(never)]
pub(crate) fn ring_freed_under_lock() -> Result {
    let device = Device::new()?;
    let mut ring = Some(Ring::new(&device)?);
    // SAFETY: Interrupts are on, and the lock is given back below.
    unsafe { c::crashers_lock_irq() };
    // marker: ring-under-lock
    ring.take();
    // SAFETY: It was taken above.
    unsafe { c::crashers_unlock_irq() };
    Ok(())
}
