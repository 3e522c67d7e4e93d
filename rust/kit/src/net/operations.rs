// SPDX-License-Identifier: GPL-2.0-only

//! What the kernel calls: the interrupt, NAPI, and the operations of a `struct net_device`.

use super::{
    driver::{
        Driver,
        Health,
        Interrupt, //
    },
    ethernet::MacAddress,
    features::Features,
    napi::Poll,
    private::Private,
    queue::TxQueue, //
};
use crate::{
    bindings,
    netdev_err,
    skb::TxSkb, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    }, //
};

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// `this` was given to `request_irq` together with this function, and is valid.
    pub(super) unsafe extern "C" fn interrupt(
        _irq: c_int,
        this: *mut c_void,
    ) -> bindings::irqreturn {
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
    pub(super) unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
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
        // SAFETY: This is the poll function of `napi`, which is not NULL.
        let mut poll = unsafe {
            Poll::new(
                this.device(),
                NonNull::new_unchecked(napi),
                &this.openings,
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
        // SAFETY: This is `start_xmit` of that device.
        let queue = unsafe { TxQueue::new(this.device(), &this.openings) };
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
    /// Called by the workqueue; `work` is in the field `watchdog` of a `Private<D>`.
    pub(super) unsafe extern "C" fn watchdog(work: *mut bindings::work_struct) {
        const WORK: usize = core::mem::offset_of!(bindings::delayed_work, work);
        // SAFETY: `work` lies in the field of a `Private<D>`, the only one that this function is
        // registered for; `close` waits for this function.
        let this = unsafe {
            &*work
                .byte_sub(core::mem::offset_of!(Self, watchdog) + WORK)
                .cast::<Self>()
        };
        // Who holds the lock may be `close`, which waits for this function: not to be waited for.
        //
        // SAFETY: Process context.
        if unsafe { bindings::rtnl_trylock() } == 0 {
            this.look_in(D::WATCHDOG_MS / 16);
            return;
        }
        // Without one this function is never called, and the method is not there to be called.
        if D::HAS_WATCHDOG && this.driver.watchdog(this.device()) == Health::Stalled {
            // SAFETY: Initialised with the device.
            unsafe { bindings::schedule_work(this.restart.get()) };
        }
        this.look_in(D::WATCHDOG_MS);
        // SAFETY: Locked above.
        unsafe { bindings::rtnl_unlock() };
    }

    /// # Safety
    ///
    /// Called by the workqueue; `work` is the field of a `Private<D>`.
    pub(super) unsafe extern "C" fn restart(work: *mut bindings::work_struct) {
        // SAFETY: `work` is the field of a `Private<D>`, the only one that this function is
        // registered for; it lives until after `cancel_work_sync`.
        let this = unsafe {
            &*work
                .byte_sub(core::mem::offset_of!(Self, restart))
                .cast::<Self>()
        };
        // SAFETY: Process context, no lock held.
        unsafe { bindings::rtnl_lock() };
        // SAFETY: The device is valid. One that is suspended meanwhile is restarted by its resume.
        let runs = unsafe {
            bindings::netif_running(this.dev.as_ptr())
                && bindings::netif_device_present(this.dev.as_ptr())
        };
        if runs {
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
                // An interface that is up and deaf helps nobody: down, it is seen to be down, and
                // setting it up tries again.
                Err(e) => {
                    netdev_err!(this.device(), "restart failed: {:?}, going down\n", e);
                    // SAFETY: The device is registered, and the RTNL lock is held.
                    unsafe { bindings::dev_close(this.dev.as_ptr()) };
                }
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
            let mode = unsafe { this.rx_mode(this.device().features()) };
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

    /// # Safety
    ///
    /// Called by the core under the RTNL lock, with an MTU that the device can have; `dev` has a
    /// `Private<D>` behind it.
    unsafe extern "C" fn ndo_change_mtu(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
        // SAFETY: `dev` is ours. Others may read it at this moment.
        unsafe { (&raw mut (*dev).mtu).write_volatile(mtu as c_uint) };
        // SAFETY: `dev` is ours.
        let this = unsafe { Self::of(dev) };
        this.filter_again(this.device().features());
        0
    }

    // Each operation that some driver does not have costs it something: the core asks in another way,
    // or for each frame.
    pub(super) const OPS: bindings::net_device_ops = {
        let mut ops = bindings::net_device_ops {
            ndo_open: Some(Self::ndo_open),
            ndo_stop: Some(Self::ndo_stop),
            ndo_start_xmit: Some(Self::ndo_start_xmit),
            ndo_set_rx_mode: Some(Self::ndo_set_rx_mode),
            ndo_set_mac_address: Some(Self::ndo_set_mac_address),
            ndo_change_mtu: Some(Self::ndo_change_mtu),
            ndo_validate_addr: Some(bindings::eth_validate_addr),
            ndo_tx_timeout: Some(Self::ndo_tx_timeout),
            ndo_set_features: Some(Self::ndo_set_features),
            ..pin_init::zeroed()
        };
        if D::HAS_READ_PHY {
            ops.ndo_eth_ioctl = Some(Self::ndo_eth_ioctl);
        }
        if D::HAS_COUNTS {
            ops.ndo_get_stats64 = Some(Self::ndo_get_stats64);
        }
        if D::HAS_FIX_FEATURES {
            ops.ndo_fix_features = Some(Self::ndo_fix_features);
        }
        if D::HAS_FEATURES_CHECK {
            ops.ndo_features_check = Some(Self::ndo_features_check);
        }
        if D::FEATURES.has(Features::VLAN_FILTER) {
            ops.ndo_vlan_rx_add_vid = Some(Self::ndo_vlan_rx_add_vid);
            ops.ndo_vlan_rx_kill_vid = Some(Self::ndo_vlan_rx_kill_vid);
        }
        ops
    };
}
