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
    bindings::{
        __devres_alloc_node,
        devres_destroy,
        devres_get, //
    },
    device::{
        Bound,
        Device, //
    },
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
///
/// # Errors
///
/// `EBUSY`: the interrupt is requested already. The kernel knows one allocation of vectors for a device,
/// and would free them under the first handler.
pub fn request<H: Handler>(
    pdev: &pci::Device<Bound>,
    types: pci::IrqTypes,
    name: &'static CStr,
    handler: Arc<H>,
) -> Result {
    let mark = Mark::set(pdev.as_ref())?;
    let (vectors, irq) = compat::alloc_irq(pdev, types)?;
    // SAFETY: The value is dropped when the device is unbound, so the device is bound for as long.
    // Types that differ in a lifetime have the same layout.
    let vectors = unsafe {
        core::mem::transmute::<compat::IrqVectors<'_>, compat::IrqVectors<'static>>(vectors)
    };
    let registration = Registration::new(irq, name, handler, vectors)?;
    devres::register(pdev.as_ref(), registration, GFP_KERNEL)?;
    mark.keep();
    Ok(())
}

/// Mark of a device whose interrupt is requested: a resource of the device without content. Taken away
/// on drop.
struct Mark<'a>(&'a Device<Bound>);

impl<'a> Mark<'a> {
    /// Marks a device.
    ///
    /// # Errors
    ///
    /// `EBUSY`: it has a mark. `ENOMEM`: there is no memory.
    fn set(dev: &'a Device<Bound>) -> Result<Self> {
        // SAFETY: `release` may be called with any resource, and lives as long as the module, whose
        // driver is unbound before.
        let new = unsafe {
            __devres_alloc_node(
                Some(Self::release),
                1,
                bindings::GFP_KERNEL,
                bindings::NUMA_NO_NODE,
                c"kit::irq".as_char_ptr(),
            )
        };
        if new.is_null() {
            return Err(ENOMEM);
        }
        // The kernel finds a resource by its `release`, and adds the new one under the same lock, or
        // frees it.
        //
        // SAFETY: The device is valid and bound, and `new` was just allocated.
        let found = unsafe { devres_get(as_raw(dev), new, None, core::ptr::null_mut()) };
        if found != new {
            return Err(EBUSY);
        }
        Ok(Self(dev))
    }

    /// Leaves the mark on the device, until that is unbound.
    fn keep(self) {
        core::mem::forget(self);
    }

    /// Frees nothing: the resource has no content.
    ///
    /// # Safety
    ///
    /// None; the driver core calls it when the device is unbound.
    unsafe extern "C" fn release(_dev: *mut bindings::device, _mark: *mut c_void) {}
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        // SAFETY: The device is valid, and has the mark, as only `self` takes it away.
        unsafe {
            devres_destroy(
                as_raw(self.0),
                Some(Self::release),
                None,
                core::ptr::null_mut(),
            )
        };
    }
}

fn as_raw(dev: &Device<Bound>) -> *mut bindings::device {
    // `Device` is `repr(transparent)` over `Opaque<struct device>`.
    core::ptr::from_ref(dev).cast_mut().cast()
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
