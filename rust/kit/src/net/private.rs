// SPDX-License-Identifier: GPL-2.0-only

//! Private data of a network device; opening and closing of a device.
//!
//! The fields of [`Private`] are protected by:
//!
//! * `control`, `irq`: the RTNL lock. `ndo_open` and `ndo_stop` run under it.
//! * `absences`: the RTNL lock.
//! * `tx`: the transmit queue's lock. The core holds it during `ndo_start_xmit`, since the kit
//!   never sets `lltx`.
//! * `napi_state`: NAPI. The value is stored before `napi_enable` and removed after `napi_disable`.
//!   In between only the poll function accesses it, which NAPI runs once at a time.
//! * `filter`: `netif_addr_lock`. The core holds it during `ndo_set_rx_mode`.
//! * `vlans`: `netif_addr_lock`.

use super::{
    device::Device,
    driver::{
        Driver,
        Rings, //
    },
    features::Features,
    napi::{
        Disabled,
        Enabled,
        Napi, //
    },
    queue::Openings,
    rx_mode::{
        RxMode,
        Vlans, //
    }, //
};
use crate::{
    bindings,
    bindings::layout,
    error::not_supported,
    netdev_err, //
};
use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_uint,
        c_ulong, //
    },
    prelude::*,
    types::Opaque, //
};

/// State of a device.
pub(super) enum Control {
    /// Not registered yet, or during a change of the state.
    None,
    Stopped(Napi<Disabled>),
    Running(Napi<Enabled>),
}

/// Private data of a network device of the kit, which the kernel allocates with the
/// `struct net_device`.
pub(super) struct Private<D: Driver> {
    pub(super) napi: Opaque<bindings::napi_struct>,
    pub(super) restart: Opaque<bindings::work_struct>,
    pub(super) watchdog: Opaque<bindings::delayed_work>,
    pub(super) control: UnsafeCell<Control>,
    pub(super) tx: UnsafeCell<Option<D::Tx>>,
    pub(super) napi_state: UnsafeCell<Option<D::Napi>>,
    pub(super) filter: UnsafeCell<Option<D::Filter>>,
    pub(super) vlans: UnsafeCell<Vlans>,
    pub(super) openings: Openings,
    /// The PCI device whose interrupt is requested while the device is open.
    pub(super) pdev: Option<NonNull<bindings::pci_dev>>,
    /// Number of the requested interrupt.
    pub(super) irq: UnsafeCell<Option<u32>>,
    /// The reasons for which the device is absent, as bits of [`Absence`](super::power::Absence).
    pub(super) absences: UnsafeCell<u8>,
    pub(super) dev: NonNull<bindings::net_device>,
    pub(super) driver: D,
}

impl<D: Driver> Private<D> {
    /// Returns the private data of a network device.
    ///
    /// # Safety
    ///
    /// `dev` is a network device that [`Registration`](super::registration::Registration) has made
    /// for the same `D`, and is not freed for `'a`.
    pub(super) unsafe fn of<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: `Registration::new` allocated the device with a `Private<D>` behind it.
        unsafe { &*Self::ptr(dev) }
    }

    /// Returns a pointer to the private data of a network device, as `netdev_priv` does.
    ///
    /// # Safety
    ///
    /// `dev` was allocated with room for a `Private<D>`.
    pub(super) unsafe fn ptr(dev: *mut bindings::net_device) -> *mut Self {
        // SAFETY: The private data lies there, in the same allocation.
        unsafe { dev.byte_add(layout::NETDEV_PRIV).cast() }
    }

    /// Returns the network device.
    pub(super) fn device(&self) -> &Device {
        // SAFETY: `self` lies in the memory of `dev`, which is thus valid.
        unsafe { Device::from_raw(self.dev.as_ptr()) }
    }

    /// Returns the transmit queue.
    pub(super) fn txq(&self) -> *mut bindings::netdev_queue {
        // SAFETY: The device is valid and has one queue.
        unsafe { (*self.dev.as_ptr())._tx }
    }

    /// Calls a function with the state of `start_xmit`, under the transmit queue's lock.
    ///
    /// Context: process, bottom halves on. The function must not sleep.
    fn with_tx<R>(&self, f: impl FnOnce(&mut Option<D::Tx>) -> R) -> R {
        // SAFETY: The queue is valid, and bottom halves are on.
        unsafe { bindings::netif_tx_lock_bh(self.txq()) };
        // SAFETY: The lock that protects `tx` is held.
        let r = f(unsafe { &mut *self.tx.get() });
        // SAFETY: Locked above.
        unsafe { bindings::netif_tx_unlock_bh(self.txq()) };
        r
    }

    /// Calls a function with the state of `set_rx_mode`, under `netif_addr_lock`.
    ///
    /// Context: process, bottom halves on. The function must not sleep.
    fn with_filter<R>(&self, f: impl FnOnce(&mut Option<D::Filter>) -> R) -> R {
        // SAFETY: The device is valid, and bottom halves are on.
        unsafe { bindings::netif_addr_lock_bh(self.dev.as_ptr()) };
        // SAFETY: The lock that protects `filter` is held.
        let r = f(unsafe { &mut *self.filter.get() });
        // SAFETY: Locked above.
        unsafe { bindings::netif_addr_unlock_bh(self.dev.as_ptr()) };
        r
    }

    /// Opens the device.
    ///
    /// Context: process. May sleep.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if the device is open or not registered, the error of [`Driver::open`], or the
    /// error of the request of the interrupt.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held.
    pub(super) unsafe fn open(&self) -> Result {
        // SAFETY: The lock that protects `control` is held.
        if !matches!(unsafe { &*self.control.get() }, Control::Stopped(_)) {
            return Err(EBUSY);
        }
        let rings = self.driver.open(self.device())?;
        // SAFETY: As required of the caller.
        unsafe { self.run(rings) }
    }

    /// Closes the device and opens it with other rings. If that fails, the interface goes down.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// The device is registered, and the RTNL lock is held.
    pub(super) unsafe fn exchange(&self, rings: Rings<D>) -> Result {
        // SAFETY: The RTNL lock is held.
        let result = unsafe {
            self.close();
            // A driver without `make_rings` never gets here, and lacks `open_with`.
            if D::HAS_MAKE_RINGS {
                let rings = self.driver.open_with(self.device(), rings);
                rings.and_then(|rings| self.run(rings))
            } else {
                Err(not_supported())
            }
        };
        // SAFETY: The device is registered, and the RTNL lock is held.
        unsafe { self.reopened(result) }
    }

    /// Opens a device of an interface that is up, and that was closed for a while. If that fails,
    /// the interface goes down.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// The device is registered, and the RTNL lock is held.
    pub(super) unsafe fn reopen(&self) -> Result {
        // SAFETY: As required of the caller.
        unsafe {
            let result = self.open();
            self.reopened(result)
        }
    }

    /// Has the stack go on with a device that was closed for a while, or takes the interface down
    /// if the device could not be opened: one that is up without a working device would hide the
    /// fault from the user, who can set it up again once it is down.
    ///
    /// # Safety
    ///
    /// The device is registered, and the RTNL lock is held.
    unsafe fn reopened(&self, result: Result) -> Result {
        let raw = self.dev.as_ptr();
        // SAFETY: As required of the caller.
        unsafe {
            match result {
                Ok(()) => {
                    bindings::netif_trans_update(raw);
                    // Frames may wait in the qdisc, which otherwise runs with the next frame only.
                    bindings::netif_schedule_queue(self.txq());
                }
                Err(error) => {
                    netdev_err!(self.device(), "open failed: {:?}, going down\n", error);
                    bindings::dev_close(raw);
                }
            }
        }
        result
    }

    /// Requests the interrupt and enables NAPI and the transmit queue of a device that the driver
    /// has opened.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held.
    unsafe fn run(&self, rings: Rings<D>) -> Result {
        // SAFETY: The lock that protects `control` is held.
        let control = unsafe { &mut *self.control.get() };
        let dev = self.device();
        let Rings { tx, napi, filter } = rings;

        // SAFETY: The RTNL lock is held.
        if let Err(e) = unsafe { self.request_irq() } {
            self.driver.stop(dev, Rings { tx, napi, filter });
            return Err(e);
        }

        self.openings.turn();
        self.with_tx(|slot| *slot = Some(tx));
        // SAFETY: NAPI is disabled, so no other code accesses `napi_state`.
        unsafe { *self.napi_state.get() = Some(napi) };
        self.with_filter(|slot| {
            // SAFETY: `with_filter` holds the lock.
            let mode = unsafe { self.rx_mode(dev.features()) };
            self.driver.set_rx_mode(slot.insert(filter), &mode);
        });
        if let Control::Stopped(napi) = core::mem::replace(control, Control::None) {
            *control = Control::Running(napi.enable());
        }
        // SAFETY: The queue is valid.
        unsafe { bindings::netif_tx_start_queue(self.txq()) };
        self.driver.start(dev);
        self.look_in(D::WATCHDOG_MS);
        Ok(())
    }

    /// Requests the interrupt of a PCI device, by its present number: the number can be another one
    /// when the device was disabled and enabled again.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held, and no interrupt is requested.
    unsafe fn request_irq(&self) -> Result {
        let Some(pdev) = self.pdev else {
            return Ok(());
        };
        // SAFETY: The device is valid, and has a vector for as long as the network device is
        // registered (`Attachment::Pci`).
        let irq = unsafe { bindings::pci_irq_vector(pdev.as_ptr(), 0) };
        to_result(irq)?;
        // SAFETY: The argument of the handler is `self`, which is pinned and lives until after
        // `free_irq` in `close`. The name lives as long as the device.
        to_result(unsafe {
            bindings::request_irq(
                irq as c_uint,
                Some(Self::interrupt),
                bindings::IRQF_SHARED as c_ulong,
                (&raw const (*self.dev.as_ptr()).name).cast(),
                core::ptr::from_ref(self).cast_mut().cast(),
            )
        })?;
        // SAFETY: The lock that protects `irq` is held.
        unsafe { *self.irq.get() = Some(irq as u32) };
        Ok(())
    }

    /// Returns the frames that the stack wants to receive, with these features.
    ///
    /// # Safety
    ///
    /// `netif_addr_lock` is held while the value lives.
    pub(super) unsafe fn rx_mode(&self, features: Features) -> RxMode<'_> {
        // SAFETY: The lock that protects `vlans` and the address lists is held.
        unsafe { RxMode::new(self.device(), &*self.vlans.get(), features) }
    }

    /// Programs the receive filters, if the device is open.
    ///
    /// Context: process, bottom halves on; takes `netif_addr_lock`. Does not sleep.
    pub(super) fn filter_again(&self, features: Features) {
        self.with_filter(|slot| {
            if let Some(filter) = slot {
                // SAFETY: `with_filter` holds the lock.
                let mode = unsafe { self.rx_mode(features) };
                self.driver.set_rx_mode(filter, &mode);
            }
        });
    }

    /// Adds a VLAN to the wanted ones, or removes it, and programs the receive filters. The set of
    /// VLANs stays when the device is closed.
    ///
    /// Context: process, bottom halves on; takes `netif_addr_lock`. Does not sleep.
    pub(super) fn want_vlan(&self, vid: u16, wanted: bool) {
        self.with_filter(|_| {
            // SAFETY: `with_filter` holds the lock that protects `vlans`.
            unsafe { (*self.vlans.get()).set(vid, wanted) };
        });
        self.filter_again(self.device().features());
    }

    /// Schedules the watchdog, if the driver has one.
    pub(super) fn look_in(&self, milliseconds: u32) {
        if D::HAS_WATCHDOG {
            // SAFETY: The work item is initialised with the device, and cancelled in `close`.
            unsafe { bindings::schedule_delayed_work(self.watchdog.get(), milliseconds) };
        }
    }

    /// Returns true if the device is open.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held.
    pub(super) unsafe fn is_running(&self) -> bool {
        // SAFETY: The lock that protects `control` is held.
        matches!(unsafe { &*self.control.get() }, Control::Running(_))
    }

    /// Closes the device. Has no effect if it is not open.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held.
    pub(super) unsafe fn close(&self) {
        // SAFETY: The lock that protects `control` is held.
        let control = unsafe { &mut *self.control.get() };
        let running = match core::mem::replace(control, Control::None) {
            Control::Running(napi) => napi,
            other => {
                *control = other;
                return;
            }
        };
        let dev = self.device();

        // SAFETY: Initialised with the device. The work item does not wait for the RTNL lock.
        unsafe { bindings::cancel_delayed_work_sync(self.watchdog.get()) };
        // From here on, `ndo_start_xmit` finds `None` and drops its frame.
        let tx = self.with_tx(|slot| {
            // SAFETY: The queue is valid.
            unsafe { bindings::netif_tx_stop_queue(self.txq()) };
            slot.take()
        });
        // The last run of the poll function may wake the queue, which has no effect.
        *control = Control::Stopped(running.disable());
        // `napi_disable` waits for `napi_complete_done`, and the last run of the poll function
        // unmasks the interrupts after that. The function runs with bottom halves off, so
        // `synchronize_net` waits for its return.
        //
        // SAFETY: Process context, which may sleep.
        unsafe { bindings::synchronize_net() };
        // SAFETY: NAPI is disabled, so no other code accesses `napi_state`.
        let napi = unsafe { (*self.napi_state.get()).take() };
        let filter = self.with_filter(Option::take);
        // Frames that are still on the ring are not completed any more; BQL starts anew below.
        self.openings.turn();
        dev.set_carrier(false);

        if let (Some(tx), Some(napi), Some(filter)) = (tx, napi, filter) {
            self.driver.stop(dev, Rings { tx, napi, filter });
        }
        // SAFETY: The queue is valid, and no frame is in flight, since the rings are freed.
        unsafe { bindings::netdev_tx_reset_queue(self.txq()) };
        // SAFETY: The lock that protects `irq` is held.
        if let Some(irq) = unsafe { (*self.irq.get()).take() } {
            // SAFETY: Requested in `request_irq` with the same argument.
            unsafe { bindings::free_irq(irq, core::ptr::from_ref(self).cast_mut().cast()) };
        }
    }
}
