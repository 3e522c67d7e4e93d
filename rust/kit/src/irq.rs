// SPDX-License-Identifier: GPL-2.0-only

//! Interrupts of PCI devices that are not network devices; for those, see [`net`](crate::net).
//!
//! The kernel's own [`kernel::irq::Registration`] borrows from the device, and since Linux 7.3
//! making one is unsafe, because a registration that is forgotten would call a handler whose device
//! is gone. Here the bound device owns the registration, so a driver has nothing to forget.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use crate::{
    bindings,
    compat, //
};
use kernel::{
    device::Bound,
    devres,
    error::to_result,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    pci,
    prelude::*,
    sync::Arc, //
};

/// Result of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The interrupt is not this device's: others may share the line.
    NotMine,
    /// The interrupt was this device's, which no longer asks for it.
    Handled,
}

/// A handler of a device's interrupt.
pub trait Handler: Send + Sync + 'static {
    /// Called for each interrupt, in hard interrupt context: must not sleep. The line may be shared,
    /// so it is also called for interrupts of other devices.
    fn interrupt(&self) -> Outcome;
}

/// Requests the first interrupt of a device. The handler is called from now on, and until the
/// device is unbound from its driver. It is gone after the driver's data, but before all that was
/// requested for the device earlier, such as a [`pci::DevresBar`].
///
/// `name` is the handler's in /proc/interrupts.
pub fn request<H: Handler>(
    pdev: &pci::Device<Bound>,
    types: pci::IrqTypes,
    name: &'static CStr,
    handler: Arc<H>,
) -> Result {
    let (vectors, irq) = compat::alloc_irq(pdev, types)?;
    // SAFETY: The value is dropped when the device is unbound, so the device is bound for as long.
    // Types that differ in a lifetime have the same layout.
    let vectors = unsafe {
        core::mem::transmute::<compat::IrqVectors<'_>, compat::IrqVectors<'static>>(vectors)
    };
    let registration = Registration::new(irq, name, handler, vectors)?;
    devres::register(pdev.as_ref(), registration, GFP_KERNEL)
}

/// A requested interrupt.
///
/// # Invariants
///
/// `irq` was requested for `handler` of `H`, with the address of `handler`'s content.
struct Registration<H: Handler> {
    irq: u32,
    handler: Arc<H>,
    // Dropped after `drop` below has run.
    _vectors: compat::IrqVectors<'static>,
}

impl<H: Handler> Registration<H> {
    fn new(
        irq: u32,
        name: &'static CStr,
        handler: Arc<H>,
        vectors: compat::IrqVectors<'static>,
    ) -> Result<Self> {
        let cookie = core::ptr::from_ref::<H>(&handler);
        // SAFETY: `handler` is kept until `free_irq` has returned, at the same address, since it is
        // in an `Arc`; and `name` for ever.
        to_result(unsafe {
            bindings::request_irq(
                irq,
                Some(Self::interrupt),
                bindings::IRQF_SHARED as c_ulong,
                name.as_char_ptr(),
                cookie.cast_mut().cast(),
            )
        })?;
        // INVARIANT: Just requested.
        Ok(Self {
            irq,
            handler,
            _vectors: vectors,
        })
    }

    /// # Safety
    ///
    /// `cookie` was given to `request_irq` together with this function, and is valid.
    unsafe extern "C" fn interrupt(_irq: c_int, cookie: *mut c_void) -> bindings::irqreturn {
        // SAFETY: It is the address of an `H` that lives until `free_irq` has returned.
        match unsafe { &*cookie.cast::<H>() }.interrupt() {
            Outcome::NotMine => bindings::irqreturn::IRQ_NONE,
            Outcome::Handled => bindings::irqreturn::IRQ_HANDLED,
        }
    }
}

impl<H: Handler> Drop for Registration<H> {
    fn drop(&mut self) {
        let cookie = core::ptr::from_ref::<H>(&self.handler);
        // SAFETY: Requested with the same address, by the type invariant. Waits for a handler that
        // runs.
        unsafe { bindings::free_irq(self.irq, cookie.cast_mut().cast()) };
    }
}
