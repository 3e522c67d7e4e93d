// SPDX-License-Identifier: GPL-2.0-only

//! The network device's life: allocation, registration, open, stop, and the end.
//!
//! What is guarded by what, in [`Private`]:
//!
//! * `control`: the RTNL lock. `ndo_open` and `ndo_stop` run under it.
//! * `tx`: the transmit queue's lock. The core holds it around `ndo_start_xmit`, since the kit
//!   never sets `lltx`.
//! * `napi_state`: NAPI. Set before `napi_enable` and taken after `napi_disable`; in between only
//!   the poll function has it, which never runs twice at a time.
//! * `filter`: the address list's lock. The core holds it around `ndo_set_rx_mode`.

use super::{
    Config, Device, Disabled, Driver, Enabled, Epoch, Interrupt, MacAddress, Napi, Poll, Rings,
    RxMode, TxQueue,
};
use crate::{bindings, bindings::layout, compat, netdev_err, skb::TxSkb};
use core::{cell::UnsafeCell, marker::PhantomData, ptr::NonNull};
use kernel::{
    error::{from_result, to_result},
    ffi::{c_int, c_uint, c_ulong, c_void},
    prelude::*,
    types::Opaque,
};

/// Where a device is in its life.
enum Control {
    /// Not registered yet, or in the middle of a change.
    None,
    Stopped(Napi<Disabled>),
    Running(Napi<Enabled>),
}

/// What lies behind a `struct net_device` of the kit, in the memory that the kernel allocates with
/// it.
pub(super) struct Private<D: Driver> {
    napi: Opaque<bindings::napi_struct>,
    restart: Opaque<bindings::work_struct>,
    control: UnsafeCell<Control>,
    tx: UnsafeCell<Option<D::Tx>>,
    napi_state: UnsafeCell<Option<D::Napi>>,
    filter: UnsafeCell<Option<D::Filter>>,
    /// Written by `open`, when nobody can read it yet.
    epoch: UnsafeCell<Epoch>,
    irq: Option<u32>,
    dev: NonNull<bindings::net_device>,
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
    unsafe fn ptr(dev: *mut bindings::net_device) -> *mut Self {
        // SAFETY: The private memory lies there, in the same allocation.
        unsafe { dev.byte_add(layout::NETDEV_PRIV).cast() }
    }

    pub(super) fn device(&self) -> &Device {
        // SAFETY: `self` lies in the memory of `dev`, so it is valid.
        unsafe { Device::from_raw(self.dev.as_ptr()) }
    }

    fn txq(&self) -> *mut bindings::netdev_queue {
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
    unsafe fn open(&self) -> Result {
        // SAFETY: The lock that guards `control` is held.
        let control = unsafe { &mut *self.control.get() };
        let Control::Stopped(_) = control else {
            return Err(EBUSY);
        };
        let dev = self.device();
        let Rings { tx, napi, filter } = self.driver.open(dev)?;

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

        // SAFETY: Neither `start_xmit` nor the poll function can run: it finds no state.
        unsafe { *self.epoch.get() = (*self.epoch.get()).next() };
        self.with_tx(|slot| *slot = Some(tx));
        // SAFETY: NAPI is disabled, so nobody else has it.
        unsafe { *self.napi_state.get() = Some(napi) };
        self.with_filter(|slot| {
            // SAFETY: `with_filter` holds the lock.
            let mode = unsafe { RxMode::new(dev) };
            self.driver.set_rx_mode(slot.insert(filter), &mode);
        });
        if let Control::Stopped(napi) = core::mem::replace(control, Control::None) {
            *control = Control::Running(napi.enable());
        }
        // SAFETY: The queue is valid.
        unsafe { bindings::netif_tx_start_queue(self.txq()) };
        self.driver.start(dev);
        Ok(())
    }

    /// # Safety
    ///
    /// The RTNL lock is held.
    unsafe fn close(&self) {
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

    /// # Safety
    ///
    /// `this` was given to `request_irq` together with this function, and is valid.
    unsafe extern "C" fn interrupt(_irq: c_int, this: *mut c_void) -> bindings::irqreturn {
        // SAFETY: `this` is what `open` gave to `request_irq`, valid until `free_irq` returns.
        let this = unsafe { &*this.cast::<Self>() };
        match this.driver.interrupt() {
            Interrupt::NotMine => bindings::irqreturn::IRQ_NONE,
            Interrupt::Handled => bindings::irqreturn::IRQ_HANDLED,
            Interrupt::Poll => {
                // SAFETY: Added in `Registration::new`, and not deleted as long as the device may
                // be open. While NAPI is disabled this does nothing.
                unsafe { bindings::napi_schedule(this.napi.get()) };
                bindings::irqreturn::IRQ_HANDLED
            }
        }
    }

    /// # Safety
    ///
    /// Called by NAPI; `napi` is the field of a `Private<D>`.
    unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: `napi` is the field of a `Private<D>`, the only one that this function is
        // registered for.
        let this = unsafe {
            &*napi
                .byte_sub(core::mem::offset_of!(Self, napi))
                .cast::<Self>()
        };
        // SAFETY: This is the poll function, which guards `napi_state`.
        let Some(state) = (unsafe { (*this.napi_state.get()).as_mut() }) else {
            return 0;
        };
        // SAFETY: This is the poll function of `napi`, which is not NULL. The device is open, so
        // `epoch` is not written.
        let mut poll = unsafe {
            Poll::new(
                this.device(),
                NonNull::new_unchecked(napi),
                *this.epoch.get(),
                budget as usize,
            )
        };
        this.driver.poll(state, &mut poll);
        let (done, idle) = poll.finish();
        if idle {
            this.driver.unmask();
        }
        done as c_int
    }

    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it.
    unsafe extern "C" fn ndo_open(dev: *mut bindings::net_device) -> c_int {
        from_result(|| {
            // SAFETY: `dev` is ours, and the core holds the RTNL lock.
            unsafe { Self::of(dev).open() }.map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it.
    unsafe extern "C" fn ndo_stop(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: `dev` is ours, and the core holds the RTNL lock.
        unsafe { Self::of(dev).close() };
        0
    }

    /// # Safety
    ///
    /// Called by the core with the lock of the transmit queue held and bottom halves disabled; `dev`
    /// has a `Private<D>` behind it; the reference to `skb` is handed over, unless the answer is busy.
    unsafe extern "C" fn ndo_start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: `dev` is ours.
        let this = unsafe { Self::of(dev) };
        // SAFETY: The core hands over a valid buffer.
        let skb = unsafe { TxSkb::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: The core holds the lock that guards `tx`.
        let Some(tx) = (unsafe { (*this.tx.get()).as_mut() }) else {
            drop(skb);
            // SAFETY: `dev` is valid; bottom halves are disabled here.
            unsafe { bindings::dev_dstats_tx_dropped(dev) };
            return bindings::netdev_tx_NETDEV_TX_OK;
        };
        // SAFETY: This is `start_xmit` of that device. It is open, so `epoch` is not written.
        let queue = unsafe { TxQueue::new(this.device(), *this.epoch.get()) };
        match this.driver.start_xmit(tx, &queue, skb).into_busy() {
            None => bindings::netdev_tx_NETDEV_TX_OK,
            Some(skb) => {
                // The core keeps its buffer.
                let _ = skb.into_raw();
                bindings::netdev_tx_NETDEV_TX_BUSY
            }
        }
    }

    /// The queue has been stopped for too long: whatever has happened to the device, a fresh start
    /// will help. Not here, where nothing may sleep.
    ///
    /// # Safety
    ///
    /// Called by the core; `dev` has a `Private<D>` behind it.
    unsafe extern "C" fn ndo_tx_timeout(dev: *mut bindings::net_device, _queue: c_uint) {
        // SAFETY: `dev` is ours, and `restart` was initialised with it.
        unsafe { bindings::schedule_work(Self::of(dev).restart.get()) };
    }

    /// # Safety
    ///
    /// Called by the workqueue; `work` is the field of a `Private<D>`.
    unsafe extern "C" fn restart(work: *mut bindings::work_struct) {
        // SAFETY: `work` is the field of a `Private<D>`, the only one that this function is
        // registered for; it lives until after `cancel_work_sync`.
        let this = unsafe {
            &*work
                .byte_sub(core::mem::offset_of!(Self, restart))
                .cast::<Self>()
        };
        // SAFETY: Process context, no lock held.
        unsafe { bindings::rtnl_lock() };
        // SAFETY: The device is valid.
        if unsafe { bindings::netif_running(this.dev.as_ptr()) } {
            netdev_err!(this.device(), "transmit queue stalled, restarting\n");
            // SAFETY: The RTNL lock is held.
            unsafe { this.close() };
            // SAFETY: As above.
            match unsafe { this.open() } {
                // SAFETY: The device and its queue are valid.
                Ok(()) => unsafe {
                    bindings::netif_trans_update(this.dev.as_ptr());
                    // What waits in the qdisc goes out now, and not with the next frame.
                    bindings::netif_schedule_queue(this.txq());
                },
                Err(e) => netdev_err!(this.device(), "restart failed: {:?}\n", e),
            }
        }
        // SAFETY: Locked above.
        unsafe { bindings::rtnl_unlock() };
    }

    /// # Safety
    ///
    /// Called by the core with the lock of the address list held; `dev` has a `Private<D>` behind it.
    unsafe extern "C" fn ndo_set_rx_mode(dev: *mut bindings::net_device) {
        // SAFETY: `dev` is ours.
        let this = unsafe { Self::of(dev) };
        // SAFETY: The core holds the lock that guards `filter`.
        if let Some(filter) = unsafe { (*this.filter.get()).as_mut() } {
            // SAFETY: As above.
            let mode = unsafe { RxMode::new(this.device()) };
            this.driver.set_rx_mode(filter, &mode);
        }
    }

    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it, and `addr` is a
    /// `struct sockaddr`.
    unsafe extern "C" fn ndo_set_mac_address(
        dev: *mut bindings::net_device,
        addr: *mut c_void,
    ) -> c_int {
        let sockaddr = addr.cast::<bindings::sockaddr>();
        let mut mac = MacAddress([0; 6]);
        // SAFETY: The core hands over a `struct sockaddr` with an address of `dev->addr_len` bytes.
        unsafe {
            core::ptr::copy_nonoverlapping(
                (&raw const (*sockaddr).sa_data).cast::<u8>(),
                mac.0.as_mut_ptr(),
                6,
            )
        };
        if !mac.is_valid() {
            return -(bindings::EADDRNOTAVAIL as c_int);
        }
        // SAFETY: `dev` is ours, and the core holds the RTNL lock, as `dev_addr` wants it.
        unsafe { bindings::eth_hw_addr_set(dev, mac.0.as_ptr()) };
        // SAFETY: `dev` is ours.
        unsafe { Self::of(dev) }.driver.set_mac(mac);
        0
    }

    const OPS: bindings::net_device_ops = bindings::net_device_ops {
        ndo_open: Some(Self::ndo_open),
        ndo_stop: Some(Self::ndo_stop),
        ndo_start_xmit: Some(Self::ndo_start_xmit),
        ndo_set_rx_mode: Some(Self::ndo_set_rx_mode),
        ndo_set_mac_address: Some(Self::ndo_set_mac_address),
        ndo_validate_addr: Some(bindings::eth_validate_addr),
        ndo_tx_timeout: Some(Self::ndo_tx_timeout),
        ..pin_init::zeroed()
    };
}

/// Where a network device is attached.
pub(crate) enum Attachment<'bound> {
    /// To a device on a bus, which asks by this interrupt.
    Bus(&'bound kernel::device::Device<kernel::device::Bound>, u32),
    /// To nothing: what it sends stays in the kernel. The name may have a `%d` for a number.
    Nowhere(&'static CStr),
}

/// A network device that the stack knows.
///
/// It is not public: whoever owns one may forget it, and then the stack would call a driver that
/// is gone. [`crate::pci::Adapter`] owns it, where the driver core is certain to drop it; or the
/// module itself, see [`crate::virt`].
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
    /// # Safety
    ///
    /// The value is dropped, not forgotten, before `'bound` ends, and before the module's code
    /// is gone.
    pub(crate) unsafe fn new(
        place: Attachment<'bound>,
        driver: impl PinInit<D, Error>,
    ) -> Result<Self> {
        const {
            assert!(
                core::mem::align_of::<Private<D>>() <= layout::NETDEV_PRIV_ALIGN,
                "the driver's alignment is more than the kernel gives"
            )
        };
        // SAFETY: No requirements.
        let dev = unsafe {
            bindings::alloc_etherdev_mqs(core::mem::size_of::<Private<D>>() as c_int, 1, 1)
        };
        let dev = NonNull::new(dev).ok_or(ENOMEM)?;
        // SAFETY: `dev` is valid, and was made in this function; nobody else knows it.
        unsafe {
            Self::init(dev, place, driver).inspect_err(|_| bindings::free_netdev(dev.as_ptr()))
        }
    }

    /// # Safety
    ///
    /// As for [`Self::new`]; and `dev` is a fresh device with room for a `Private<D>`.
    unsafe fn init(
        dev: NonNull<bindings::net_device>,
        place: Attachment<'bound>,
        driver: impl PinInit<D, Error>,
    ) -> Result<Self> {
        // SAFETY: `dev` is valid, so its private memory is too.
        let private = unsafe { Private::<D>::ptr(dev.as_ptr()) };

        // SAFETY: `private` has the size and the alignment of a `Private<D>`, and never moves.
        // Each field but `driver` is written here; `driver` last, since it may fail and the others
        // have nothing to drop.
        unsafe {
            (&raw mut (*private).control).write(UnsafeCell::new(Control::None));
            (&raw mut (*private).tx).write(UnsafeCell::new(None));
            (&raw mut (*private).napi_state).write(UnsafeCell::new(None));
            (&raw mut (*private).filter).write(UnsafeCell::new(None));
            (&raw mut (*private).epoch).write(UnsafeCell::new(Epoch::default()));
            (&raw mut (*private).irq).write(match place {
                Attachment::Bus(_, irq) => Some(irq),
                Attachment::Nowhere(_) => None,
            });
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
        let features = features as u64;

        // SAFETY: `dev` is valid and not registered, so it is ours to fill in. The tables are
        // constants. The memory of `napi` is zeroed and does not move. A parent outlives the
        // device, as required of the caller of `new`. A name is zeroed but for `eth%d`, and keeps
        // its last byte.
        unsafe {
            let raw = dev.as_ptr();
            (*raw).netdev_ops = &Private::<D>::OPS;
            (*raw).ethtool_ops = &Private::<D>::ETHTOOL_OPS;
            (*raw).max_mtu = max_mtu;
            (*raw).features |= features;
            (*raw).hw_features |= features;
            match place {
                Attachment::Bus(parent, _) => {
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
            bindings::netdev_use_dstats(raw);
            bindings::eth_hw_addr_set(raw, mac.0.as_ptr());
            bindings::netif_carrier_off(raw);
            bindings::init_work(this.restart.get(), Some(Private::<D>::restart));
            bindings::netif_napi_add(raw, this.napi.get(), Some(Private::<D>::poll));
            *this.control.get() =
                Control::Stopped(Napi::new(NonNull::new_unchecked(this.napi.get())));
        }

        // SAFETY: `dev` is filled in.
        if let Err(e) = to_result(unsafe { bindings::register_netdev(dev.as_ptr()) }) {
            // SAFETY: Added above; not registered, so nobody uses it.
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

impl<D: Driver> Drop for Registration<'_, D> {
    fn drop(&mut self) {
        let dev = self.dev.as_ptr();
        // SAFETY: By the type invariant. Stops the device if it is open, and waits until no
        // callback runs and no reference is left.
        unsafe { bindings::unregister_netdev(dev) };
        // SAFETY: By the type invariant, and since no callback can run any more. After
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
