// SPDX-License-Identifier: GPL-2.0-only

//! Differences between the kernels that the kit supports, each once and under one name. No other
//! code of the kit or of a driver tests the version.
//!
//! `kit.mk` sets `linux_7_3` for Linux 7.3 and newer. Code for `not(linux_7_3)` can be removed when
//! the kit no longer supports a kernel before 7.3. Drivers find these names in the modules that
//! re-export them.

use kernel::{
    device::Bound,
    dma::{
        Coherent,
        DmaAddress, //
    },
    irq::IrqRequest,
    module_param::ModuleParamAccess,
    pci,
    prelude::*,
    ptr::KnownSize, //
};

/// The entry of the device table that `kernel::pci::Driver::probe` gets.
#[cfg(linux_7_3)]
pub(crate) type IdInfo<'a, T> = Option<&'a T>;
#[cfg(not(linux_7_3))]
pub(crate) type IdInfo<'a, T> = &'a T;

/// The entry of the device table that the `probe` of a driver of the kit gets.
pub(crate) fn id_info<T>(info: IdInfo<'_, T>) -> Option<&T> {
    #[cfg(not(linux_7_3))]
    let info = Some(info);
    info
}

/// The hold on a device's interrupt vectors. Before 7.3 they belonged to the bound device.
#[cfg(linux_7_3)]
pub(crate) type IrqVectors<'a> = pci::IrqVectorRegistration<'a>;
#[cfg(not(linux_7_3))]
pub(crate) type IrqVectors<'a> = core::marker::PhantomData<&'a pci::Device<Bound>>;

/// Allocates one interrupt vector. The number is valid for as long as the hold.
pub(crate) fn alloc_irq(
    pdev: &pci::Device<Bound>,
    types: pci::IrqTypes,
) -> Result<(IrqVectors<'_>, u32)> {
    let vectors = pdev.alloc_irq_vectors(1, 1, types)?;
    #[cfg(linux_7_3)]
    let irq = IrqRequest::from(vectors.index(0)?).irq();
    #[cfg(not(linux_7_3))]
    let (irq, vectors) = {
        let request: IrqRequest<'_> = (*vectors.start()).try_into()?;
        (request.irq(), core::marker::PhantomData)
    };
    Ok((vectors, irq))
}

/// Runs an initializer.
///
/// # Safety
///
/// `slot` is valid for writes, and the value made there stays there until it is dropped. After an
/// error there is no value.
pub(crate) unsafe fn raw_try_init<T, E>(slot: *mut T, init: impl PinInit<T, E>) -> Result<(), E> {
    // SAFETY: As required of the caller.
    unsafe {
        #[cfg(linux_7_3)]
        return pin_init::raw_try_init(slot, init);
        #[cfg(not(linux_7_3))]
        return init.__pinned_init(slot);
    }
}

/// Address of coherent memory for the device.
#[inline]
pub fn coherent_address<T: KnownSize + ?Sized>(memory: &Coherent<T>) -> DmaAddress {
    #[cfg(linux_7_3)]
    return memory.dma_address();
    #[cfg(not(linux_7_3))]
    return memory.dma_handle();
}

/// Items that `#[vtable]` adds to an implementation without any of the optional operations. The kit
/// writes them by hand: since 7.3 the attribute refers to the module that it is in, and the kit is
/// in none.
#[cfg(linux_7_3)]
macro_rules! vtable_impl {
    () => {
        const USE_VTABLE_ATTR: () = ();
        type OwnerModule = crate::compat::NoModule;
    };
}
#[cfg(not(linux_7_3))]
macro_rules! vtable_impl {
    () => {
        const USE_VTABLE_ATTR: () = ();
    };
}
pub(crate) use vtable_impl;

/// The owner of an implementation in the kit. No code reads it: the network core finds the module
/// of a device by the device's parent, or needs none.
#[cfg(linux_7_3)]
pub(crate) struct NoModule;

#[cfg(linux_7_3)]
impl kernel::ModuleMetadata for NoModule {
    const NAME: &'static CStr = c"kit";
    const THIS_MODULE: ThisModule = {
        // SAFETY: NULL is the module of built-in code.
        unsafe { ThisModule::from_ptr(core::ptr::null_mut()) }
    };
}

/// The value of a module's parameter.
pub fn parameter<T: Copy>(parameter: &ModuleParamAccess<T>) -> T {
    #[cfg(linux_7_3)]
    return parameter.value();
    #[cfg(not(linux_7_3))]
    return *parameter.value();
}

/// The error of an operation that a device does not support: `EOPNOTSUPP`, which has a constant in
/// the crate `kernel` since 7.3.
#[inline]
pub fn not_supported() -> Error {
    #[cfg(linux_7_3)]
    return EOPNOTSUPP;
    #[cfg(not(linux_7_3))]
    return Error::from_errno(-(crate::bindings::EOPNOTSUPP as kernel::ffi::c_int));
}

// `dma_read!(memory, [build: i].field)` and `dma_write!(memory, [build: i].field, value)`, for
// coherent memory.
#[cfg(not(linux_7_3))]
pub use kernel::{
    dma_read,
    dma_write, //
};
#[cfg(linux_7_3)]
pub use kernel::{
    io_read as dma_read,
    io_write as dma_write, //
};

/// The table of a driver's PCI devices, for the driver and for `modinfo`:
/// `pci_device_table!(TABLE, IdInfo, [(id, info), ...])`.
#[cfg(linux_7_3)]
#[macro_export]
macro_rules! pci_device_table {
    ($table:ident, $info:ty, $entries:tt) => {
        ::kernel::pci_device_table!($table, $info, $entries);
    };
}
/// The table of a driver's PCI devices, for the driver and for `modinfo`:
/// `pci_device_table!(TABLE, IdInfo, [(id, info), ...])`.
#[cfg(not(linux_7_3))]
#[macro_export]
macro_rules! pci_device_table {
    ($table:ident, $info:ty, $entries:tt) => {
        ::kernel::pci_device_table!($table, MODULE_PCI_DEVICE_TABLE, $info, $entries);
    };
}
