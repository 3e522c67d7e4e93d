// SPDX-License-Identifier: GPL-2.0-only

//! Allocation, registration and removal of a network device.

use super::{
    driver::{
        Config,
        Driver, //
    },
    napi::Napi,
    private::{
        Control,
        Private, //
    },
    queue::Openings,
    rx_mode::Vlans, //
};
use crate::{
    bindings,
    bindings::layout,
    compat, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

/// Parent of a network device.
pub(crate) enum Attachment<'bound> {
    /// A PCI device, for which an interrupt vector is allocated.
    Pci(&'bound kernel::pci::Device<kernel::device::Bound>),
    /// No parent, for a virtual device with this name, where `%d` stands for a number.
    Nowhere(&'static CStr),
}

/// A registered network device.
///
/// The type is not public: an owner could forget a value, and the stack would call a driver that
/// does not exist any more. The owner is the driver core, which always drops its data, see
/// [`crate::pci`]; or the module, see [`crate::virt`].
///
/// # Invariants
///
/// `dev` is a registered network device with an initialised `Private<D>` behind it.
pub(crate) struct Registration<'bound, D: Driver> {
    dev: NonNull<bindings::net_device>,
    _driver: PhantomData<(D, &'bound ())>,
}

// SAFETY: The device may be unregistered and freed by any thread; `D` is `Send`.
unsafe impl<D: Driver> Send for Registration<'_, D> {}

impl<'bound, D: Driver> Registration<'bound, D> {
    /// Allocates a device, initialises the driver in it, and registers it.
    ///
    /// Context: process, without the RTNL lock, which it takes. May sleep.
    ///
    /// # Safety
    ///
    /// The value is dropped, not forgotten, before `'bound` ends and before the module is unloaded.
    pub(crate) unsafe fn new(
        place: Attachment<'bound>,
        driver: impl PinInit<D, Error>,
    ) -> Result<Self> {
        const {
            assert!(
                core::mem::align_of::<Private<D>>() <= layout::NETDEV_PRIV_ALIGN,
                "the driver's alignment is more than the kernel's allocation has"
            )
        };
        // SAFETY: No requirements.
        let dev = unsafe {
            bindings::alloc_etherdev_mqs(core::mem::size_of::<Private<D>>() as c_int, 1, 1)
        };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        // SAFETY: `dev` is valid, and no other code has a reference to it.
        unsafe {
            Self::init(dev, place, driver).inspect_err(|_| bindings::free_netdev(dev.as_ptr()))
        }
    }

    /// Initialises and registers a device that was just allocated.
    ///
    /// # Safety
    ///
    /// As for [`Self::new`]. `dev` was just allocated, with room for a `Private<D>`.
    unsafe fn init(
        dev: NonNull<bindings::net_device>,
        place: Attachment<'bound>,
        driver: impl PinInit<D, Error>,
    ) -> Result<Self> {
        // SAFETY: `dev` is valid, so its private memory is too.
        let private = unsafe { Private::<D>::ptr(dev.as_ptr()) };

        // SAFETY: `private` has the size and the alignment of a `Private<D>`, and never moves. All
        // fields are initialised here, `driver` last: if that fails, the others need no drop.
        unsafe {
            (&raw mut (*private).control).write(UnsafeCell::new(Control::None));
            (&raw mut (*private).tx).write(UnsafeCell::new(None));
            (&raw mut (*private).napi_state).write(UnsafeCell::new(None));
            (&raw mut (*private).filter).write(UnsafeCell::new(None));
            (&raw mut (*private).vlans).write(UnsafeCell::new(Vlans::new()));
            (&raw mut (*private).openings).write(Openings::new(dev));
            (&raw mut (*private).pdev).write(match place {
                // `pci::Device` is `repr(transparent)` over `Opaque<struct pci_dev>`.
                Attachment::Pci(parent) => Some(NonNull::from(parent).cast()),
                Attachment::Nowhere(_) => None,
            });
            (&raw mut (*private).irq).write(UnsafeCell::new(None));
            (&raw mut (*private).absences).write(UnsafeCell::new(0));
            (&raw mut (*private).dev).write(dev);
            compat::raw_try_init(&raw mut (*private).driver, driver)?;
        }
        // SAFETY: Just initialised.
        let this = unsafe { &*private };
        let Config {
            mac,
            max_mtu,
            offloads,
        } = this.driver.config();
        let mut features = 0;
        if offloads.scatter_and_checksum {
            features |= layout::NETIF_F_SG | layout::NETIF_F_HW_CSUM;
            if offloads.tcp_segmentation {
                features |= layout::NETIF_F_TSO;
            }
            if offloads.tcp6_segmentation {
                features |= layout::NETIF_F_TSO6;
            }
        }
        let set = &D::FEATURES;
        let switched = features as u64 | set.on.into_raw();

        // SAFETY: `dev` is valid and not registered, so no other code accesses it. The tables are
        // constants. The memory of `napi` is zeroed and does not move. A parent outlives the
        // device, as required of the caller of `new`. The name ends with a NUL, since its last byte
        // stays zero.
        unsafe {
            let raw = dev.as_ptr();
            (*raw).netdev_ops = &Private::<D>::OPS;
            (*raw).ethtool_ops = &Private::<D>::ETHTOOL_OPS;
            (*raw).max_mtu = max_mtu;
            (*raw).features |= switched | set.fixed.into_raw();
            (*raw).hw_features |= switched | set.off.into_raw();
            (*raw).vlan_features |= set.in_vlan.into_raw();
            match place {
                Attachment::Pci(parent) => {
                    let parent: &kernel::device::Device<_> = parent.as_ref();
                    (*raw).dev.parent = core::ptr::from_ref(parent).cast_mut().cast();
                }
                Attachment::Nowhere(name) => {
                    let slot = &mut (*raw).name;
                    let name = name.to_bytes();
                    let len = name.len().min(slot.len() - 1);
                    slot.fill(0);
                    slot[..len].copy_from_slice(&name[..len]);
                    bindings::netdev_refuse_shared_skbs(raw);
                }
            }
            if D::UNICAST_FILTER {
                bindings::netdev_filters_unicast(raw);
            }
            bindings::netdev_use_dstats(raw);
            bindings::eth_hw_addr_set(raw, mac.0.as_ptr());
            bindings::netif_carrier_off(raw);
            bindings::init_work(this.restart.get(), Some(Private::<D>::restart));
            bindings::init_delayed_work(this.watchdog.get(), Some(Private::<D>::watchdog));
            bindings::netif_napi_add(raw, this.napi.get(), Some(Private::<D>::poll));
            *this.control.get() =
                Control::Stopped(Napi::new(NonNull::new_unchecked(this.napi.get())));
        }

        // Before the user can choose otherwise.
        this.tell_wake();
        // SAFETY: `dev` is initialised.
        if let Err(e) = to_result(unsafe { bindings::register_netdev(dev.as_ptr()) }) {
            // SAFETY: Added above. The device is not registered, so no other code uses it.
            unsafe {
                bindings::netif_napi_del(this.napi.get());
                core::ptr::drop_in_place(private);
            }
            return Err(e);
        }
        // INVARIANT: Registered, and initialised.
        Ok(Self {
            dev,
            _driver: PhantomData,
        })
    }
}

impl<D: Driver> Registration<'_, D> {
    /// The driver of the device.
    pub(crate) fn driver(&self) -> &D {
        // SAFETY: Registered, by the type invariant.
        unsafe { &Private::<D>::of(self.dev.as_ptr()).driver }
    }

    /// Detaches the device from the stack and closes it. If `arm` is true, and the user wants the
    /// device to wake the system, it is armed for that, unless it is absent for an error; returns
    /// true if it was.
    ///
    /// Context: process, without the RTNL lock, which it takes. May sleep.
    pub(crate) fn detach(&self, reason: super::power::Absence, arm: bool) -> bool {
        // SAFETY: Registered, by the type invariant.
        unsafe { Private::<D>::of(self.dev.as_ptr()).detach(reason, arm) }
    }

    /// Takes back one reason for which the device is absent. If there is no other, opens the device
    /// if its interface is up, and attaches it to the stack.
    ///
    /// Context: process, without the RTNL lock, which it takes. May sleep.
    pub(crate) fn attach(&self, reason: super::power::Absence) -> Result {
        // SAFETY: Registered, by the type invariant.
        unsafe { Private::<D>::of(self.dev.as_ptr()).attach(reason) }
    }
}

impl<D: Driver> Drop for Registration<'_, D> {
    fn drop(&mut self) {
        let dev = self.dev.as_ptr();
        // SAFETY: Registered, by the type invariant. The function closes the device if it is open,
        // and waits for running callbacks and for all references.
        unsafe { bindings::unregister_netdev(dev) };
        // SAFETY: Initialised by the type invariant, and no callback can run any more. After
        // `drop_in_place` only the kernel's own part of the memory is in use, until `free_netdev`.
        unsafe {
            let private = Private::<D>::ptr(dev);
            bindings::cancel_work_sync((*private).restart.get());
            bindings::netif_napi_del((*private).napi.get());
            core::ptr::drop_in_place(private);
            bindings::free_netdev(dev);
        }
    }
}
