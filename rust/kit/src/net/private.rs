// SPDX-License-Identifier: GPL-2.0-only

//! What lies behind a network device: its state, and how it is opened and closed.
//!
//! What is guarded by what, in [`Private`]:
//!
//! * `control`: the RTNL lock. `ndo_open` and `ndo_stop` run under it.
//! * `tx`: the transmit queue's lock. The core holds it around `ndo_start_xmit`, since the kit
//!   never sets `lltx`.
//! * `napi_state`: NAPI. Set before `napi_enable` and taken after `napi_disable`; in between only
//!   the poll function has it, which never runs twice at a time.
//! * `filter`, `vlans`: the address list's lock. The core holds it around `ndo_set_rx_mode`.

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
    netdev_err, //
};
use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    ffi::c_ulong,
    prelude::*,
    types::Opaque, //
};

/// Where a device is in its life.
pub(super) enum Control {
    /// Not registered yet, or in the middle of a change.
    None,
    Stopped(Napi<Disabled>),
    Running(Napi<Enabled>),
}

/// What lies behind a `struct net_device` of the kit, in the memory that the kernel allocates with
/// it.
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
    pub(super) irq: Option<u32>,
    pub(super) dev: NonNull<bindings::net_device>,
    pub(super) driver: D,
}

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// `dev` is a network device of [`Registration`] for the same `D`, not freed for `'a`.
    pub(super) unsafe fn of<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: `Registration::new` allocated the device with a `Private<D>` behind it.
        unsafe { &*Self::ptr(dev) }
    }

    /// What `netdev_priv` does.
    ///
    /// # Safety
    ///
    /// `dev` is a network device that was allocated with room for a `Private<D>`.
    pub(super) unsafe fn ptr(dev: *mut bindings::net_device) -> *mut Self {
        // SAFETY: The private memory lies there, in the same allocation.
        unsafe { dev.byte_add(layout::NETDEV_PRIV).cast() }
    }

    pub(super) fn device(&self) -> &Device {
        // SAFETY: `self` lies in the memory of `dev`, so it is valid.
        unsafe { Device::from_raw(self.dev.as_ptr()) }
    }

    pub(super) fn txq(&self) -> *mut bindings::netdev_queue {
        // SAFETY: The device is valid and has one queue.
        unsafe { (*self.dev.as_ptr())._tx }
    }

    fn with_tx<R>(&self, f: impl FnOnce(&mut Option<D::Tx>) -> R) -> R {
        // SAFETY: The queue is valid; process context, so bottom halves are on.
        unsafe { bindings::netif_tx_lock_bh(self.txq()) };
        // SAFETY: The lock that guards `tx` is held.
        let r = f(unsafe { &mut *self.tx.get() });
        // SAFETY: Locked above.
        unsafe { bindings::netif_tx_unlock_bh(self.txq()) };
        r
    }

    fn with_filter<R>(&self, f: impl FnOnce(&mut Option<D::Filter>) -> R) -> R {
        // SAFETY: The device is valid; process context.
        unsafe { bindings::netif_addr_lock_bh(self.dev.as_ptr()) };
        // SAFETY: The lock that guards `filter` is held.
        let r = f(unsafe { &mut *self.filter.get() });
        // SAFETY: Locked above.
        unsafe { bindings::netif_addr_unlock_bh(self.dev.as_ptr()) };
        r
    }

    /// # Safety
    ///
    /// The RTNL lock is held.
    pub(super) unsafe fn open(&self) -> Result {
        // SAFETY: The lock that guards `control` is held.
        if !matches!(unsafe { &*self.control.get() }, Control::Stopped(_)) {
            return Err(EBUSY);
        }
        let rings = self.driver.open(self.device())?;
        // SAFETY: As required of the caller.
        unsafe { self.run(rings) }
    }

    /// Closes the device and opens it with other rings. If that fails, its interface goes down.
    ///
    /// # Safety
    ///
    /// The device is registered, and the RTNL lock is held.
    pub(super) unsafe fn exchange(&self, rings: Rings<D>) -> Result {
        let raw = self.dev.as_ptr();
        // SAFETY: The RTNL lock is held. Without `make_rings` nobody has other rings.
        let result = unsafe {
            self.close();
            if D::HAS_MAKE_RINGS {
                let rings = self.driver.open_with(self.device(), rings);
                rings.and_then(|rings| self.run(rings))
            } else {
                Err(EOPNOTSUPP)
            }
        };
        // SAFETY: The device is registered, and the RTNL lock is held.
        unsafe {
            match result {
                Ok(()) => {
                    bindings::netif_trans_update(raw);
                    // What waits in the qdisc goes out now, and not with the next frame.
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

    /// Lets a device run that the driver has opened.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held.
    unsafe fn run(&self, rings: Rings<D>) -> Result {
        // SAFETY: The lock that guards `control` is held.
        let control = unsafe { &mut *self.control.get() };
        let dev = self.device();
        let Rings { tx, napi, filter } = rings;

        if let Some(irq) = self.irq {
            // SAFETY: The handler's argument is `self`, which is pinned and lives until after
            // `free_irq` in `close`. The name lives as long as the device.
            let ret = unsafe {
                bindings::request_irq(
                    irq,
                    Some(Self::interrupt),
                    bindings::IRQF_SHARED as c_ulong,
                    (&raw const (*self.dev.as_ptr()).name).cast(),
                    core::ptr::from_ref(self).cast_mut().cast(),
                )
            };
            if let Err(e) = to_result(ret) {
                self.driver.stop(dev, Rings { tx, napi, filter });
                return Err(e);
            }
        }

        self.openings.turn();
        self.with_tx(|slot| *slot = Some(tx));
        // SAFETY: NAPI is disabled, so nobody else has it.
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

    /// What the stack wants to receive, with these features.
    ///
    /// # Safety
    ///
    /// The address list's lock is held for as long as the value lives.
    pub(super) unsafe fn rx_mode(&self, features: Features) -> RxMode<'_> {
        // SAFETY: The lock that guards `vlans`, and the lists, is held.
        unsafe { RxMode::new(self.device(), &*self.vlans.get(), features) }
    }

    /// Has the driver program its filters, if the device is open.
    pub(super) fn filter_again(&self, features: Features) {
        self.with_filter(|slot| {
            if let Some(filter) = slot {
                // SAFETY: `with_filter` holds the lock.
                let mode = unsafe { self.rx_mode(features) };
                self.driver.set_rx_mode(filter, &mode);
            }
        });
    }

    /// Has frames of a VLAN received, or not any more. It holds through close and open.
    pub(super) fn want_vlan(&self, vid: u16, wanted: bool) {
        self.with_filter(|_| {
            // SAFETY: `with_filter` holds the lock that guards `vlans`.
            unsafe { (*self.vlans.get()).set(vid, wanted) };
        });
        self.filter_again(self.device().features());
    }

    /// Has the watchdog look at the device after a time, if the driver has one.
    pub(super) fn look_in(&self, milliseconds: u32) {
        if D::HAS_WATCHDOG {
            // SAFETY: Initialised with the device, and cancelled in `close`.
            unsafe { bindings::schedule_delayed_work(self.watchdog.get(), milliseconds) };
        }
    }

    /// Whether the device is open.
    ///
    /// # Safety
    ///
    /// The RTNL lock is held.
    pub(super) unsafe fn is_running(&self) -> bool {
        // SAFETY: The lock that guards `control` is held.
        matches!(unsafe { &*self.control.get() }, Control::Running(_))
    }

    /// # Safety
    ///
    /// The RTNL lock is held.
    pub(super) unsafe fn close(&self) {
        // SAFETY: The lock that guards `control` is held.
        let control = unsafe { &mut *self.control.get() };
        let running = match core::mem::replace(control, Control::None) {
            Control::Running(napi) => napi,
            other => {
                *control = other;
                return;
            }
        };
        let dev = self.device();

        // SAFETY: Initialised with the device. The function waits for no lock that is held here.
        unsafe { bindings::cancel_delayed_work_sync(self.watchdog.get()) };
        // No new frames: whoever comes now finds `None`.
        let tx = self.with_tx(|slot| {
            // SAFETY: The queue is valid.
            unsafe { bindings::netif_tx_stop_queue(self.txq()) };
            slot.take()
        });
        // No poll; it may be the last one that wakes the queue, to no effect.
        *control = Control::Stopped(running.disable());
        // A poll that was the last one may not have unmasked the interrupts yet: for
        // `napi_disable` it is over when it says so to NAPI. It runs with soft interrupts off, so
        // for RCU it is over when it returns.
        //
        // SAFETY: This is process context, and may sleep.
        unsafe { bindings::synchronize_net() };
        // SAFETY: NAPI is disabled, so nobody else has it.
        let napi = unsafe { (*self.napi_state.get()).take() };
        let filter = self.with_filter(Option::take);
        // What is still on the ring will not be completed: BQL begins anew, below.
        self.openings.turn();
        dev.set_carrier(false);

        if let (Some(tx), Some(napi), Some(filter)) = (tx, napi, filter) {
            self.driver.stop(dev, Rings { tx, napi, filter });
        }
        // SAFETY: The queue is valid and nothing is in flight: the rings are gone.
        unsafe { bindings::netdev_tx_reset_queue(self.txq()) };
        if let Some(irq) = self.irq {
            // SAFETY: Requested in `open` with the same argument. Waits for a running handler.
            unsafe { bindings::free_irq(irq, core::ptr::from_ref(self).cast_mut().cast()) };
        }
    }
}
