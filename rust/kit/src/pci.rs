// SPDX-License-Identifier: GPL-2.0-only

//! Network drivers for PCI devices.
//!
//! The driver core drops the data of a bound driver before the device is unbound, and nobody else
//! can get hold of it. So it is the one place where a [`net`](crate::net) registration may live
//! that borrows from the bound device: a driver that owned its registration could
//! [`core::mem::forget`] it. [`Adapter`] is that place.

use crate::{
    bindings, compat,
    net::{self, Attachment, Registration},
};
use kernel::{
    device::{self, Bound, Core},
    dma::{Device as _, DmaMask},
    pci,
    prelude::*,
};

/// A network driver for PCI devices.
pub trait Driver: 'static {
    /// What the table of devices holds for each of them.
    type IdInfo: 'static;

    /// The driver of one network device; it may borrow from the bound PCI device.
    type Nic<'bound>: net::Driver + 'bound;

    /// The table of devices.
    const ID_TABLE: pci::IdTable<Self::IdInfo>;

    /// How many bits the device's DMA addresses have.
    const DMA_BITS: u32;

    /// The kinds of interrupt that the device knows.
    fn irq_types() -> pci::IrqTypes {
        pci::IrqTypes::all()
    }

    /// Called for each device that is found, when its memory is enabled and it is bus master.
    ///
    /// `info` is what the table holds for it. The user can bind the driver to a device that is not
    /// in the table, and then there may be none.
    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Nic<'bound>, Error> + 'bound;

    /// Called last of all: the network device is gone, and so is the driver's hold on the PCI
    /// device.
    fn removed(dev: &device::Device<Bound>) {
        let _ = dev;
    }
}

/// Makes a [`kernel::pci::Driver`] of a [`Driver`].
///
/// A module registers it with `kernel::driver::Registration<kernel::pci::Adapter<Adapter<T>>>`.
pub struct Adapter<T: Driver>(T);

/// The hold on one PCI device.
// The order of the fields is the order of teardown.
pub struct Binding<'bound, T: Driver> {
    _registration: Registration<'bound, T::Nic<'bound>>,
    _vectors: compat::IrqVectors<'bound>,
    _enabled: Enabled<'bound>,
    _goodbye: Goodbye<'bound, T>,
}

struct Goodbye<'bound, T: Driver>(&'bound device::Device<Bound>, core::marker::PhantomData<T>);

// SAFETY: A reference to a device, and no `T`.
unsafe impl<T: Driver> Send for Goodbye<'_, T> {}

impl<T: Driver> Drop for Goodbye<'_, T> {
    fn drop(&mut self) {
        T::removed(self.0);
    }
}

/// A PCI device with its memory enabled, and bus master; disabled again on drop.
struct Enabled<'bound>(&'bound pci::Device<Bound>);

impl<'bound> Enabled<'bound> {
    fn new(pdev: &'bound pci::Device<Core<'_>>) -> Result<Self> {
        pdev.enable_device_mem()?;
        pdev.set_master();
        Ok(Self(pdev))
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        // `pci::Device` is `repr(transparent)` over `Opaque<struct pci_dev>`.
        let pdev = core::ptr::from_ref(self.0).cast_mut().cast();
        // SAFETY: The device is valid, and was enabled in `new`. This runs in probe or in unbind,
        // so nobody else is about to enable or to disable it.
        unsafe {
            bindings::pci_clear_master(pdev);
            bindings::pci_disable_device(pdev);
        }
    }
}

impl<T: Driver> pci::Driver for Adapter<T> {
    type IdInfo = T::IdInfo;
    type Data<'bound> = Binding<'bound, T>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = T::ID_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        info: compat::IdInfo<'bound, Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        let bound: &'bound pci::Device<Bound> = pdev;

        // SAFETY: The device is being probed and its driver's code has not run yet, so nobody
        // allocates or maps DMA memory for it.
        unsafe { pdev.dma_set_mask_and_coherent(DmaMask::try_new(T::DMA_BITS)?)? };
        let enabled = Enabled::new(pdev)?;
        let (vectors, irq) = compat::alloc_irq(bound, T::irq_types())?;
        let nic = T::probe(pdev, compat::id_info(info));
        // SAFETY: The driver core owns the value from here on. It drops it in post-unbind, before
        // the device is unbound and `'bound` ends, and unbinds all devices before the module's
        // driver is unregistered.
        let registration = unsafe { Registration::new(Attachment::Bus(bound.as_ref(), irq), nic) }?;
        Ok(Binding {
            _registration: registration,
            _vectors: vectors,
            _enabled: enabled,
            _goodbye: Goodbye(bound.as_ref(), core::marker::PhantomData),
        })
    }
}
