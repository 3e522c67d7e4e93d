// SPDX-License-Identifier: GPL-2.0-only

//! Callbacks of the kernel: interrupt handler, poll function, work items, and `struct
//! net_device_ops`.

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
    /// Interrupt handler: asks the driver, and schedules NAPI if the driver wants it.
    ///
    /// Context: hard interrupt, interrupts off; with `PREEMPT_RT` a thread, interrupts on. Must not
    /// sleep.
    ///
    /// # Safety
    ///
    /// `this` is the argument that `run` has given to `request_irq`, and is valid.
    pub(super) unsafe extern "C" fn interrupt(
        _irq: c_int,
        this: *mut c_void,
    ) -> bindings::irqreturn {
        // SAFETY: As required of the caller.
        let this = unsafe { &*this.cast::<Self>() };
        match this.driver.interrupt() {
            Interrupt::NotMine => bindings::irqreturn::IRQ_NONE,
            Interrupt::Handled => bindings::irqreturn::IRQ_HANDLED,
            Interrupt::Poll => {
                // SAFETY: Added in `Registration::new`, and not deleted while the device can be
                // open. While NAPI is disabled, the call has no effect.
                unsafe { bindings::napi_schedule(this.napi.get()) };
                bindings::irqreturn::IRQ_HANDLED
            }
        }
    }

    /// Poll function: has the driver complete and receive frames, and unmask the interrupts after
    /// the last run.
    ///
    /// Context: NAPI, one run at a time, bottom halves off; called by netpoll, with a budget of 0,
    /// interrupts off. Must not sleep.
    ///
    /// # Safety
    ///
    /// `napi` is the field of a `Private<D>`.
    pub(super) unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
        // SAFETY: As required of the caller.
        let this = unsafe {
            &*napi
                .byte_sub(core::mem::offset_of!(Self, napi))
                .cast::<Self>()
        };
        // SAFETY: Only the poll function accesses `napi_state` while NAPI is enabled.
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

    /// Opens the device.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and the RTNL lock is held.
    unsafe extern "C" fn ndo_open(dev: *mut bindings::net_device) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            unsafe { Self::of(dev).open() }.map(|()| 0)
        })
    }

    /// Closes the device.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and the RTNL lock is held.
    unsafe extern "C" fn ndo_stop(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev).close() };
        0
    }

    /// Transmits a frame. Takes the reference to `skb`, unless the result is `NETDEV_TX_BUSY`.
    ///
    /// Context: under the transmit queue's lock, bottom halves off; called by netpoll, interrupts
    /// off. Must not sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, `skb` is valid, and the transmit queue's lock is held.
    unsafe extern "C" fn ndo_start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: As required of the caller.
        let this = unsafe { Self::of(dev) };
        // SAFETY: As required of the caller, who gives its reference away.
        let skb = unsafe { TxSkb::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: The lock that protects `tx` is held.
        let Some(tx) = (unsafe { (*this.tx.get()).as_mut() }) else {
            drop(skb);
            // SAFETY: `dev` is valid, and bottom halves are off.
            unsafe { bindings::dev_dstats_tx_dropped(dev) };
            return bindings::netdev_tx_NETDEV_TX_OK;
        };
        // SAFETY: The caller is `start_xmit` of that device.
        let queue = unsafe { TxQueue::new(this.device(), &this.openings) };
        match this.driver.start_xmit(tx, &queue, skb).into_busy() {
            None => bindings::netdev_tx_NETDEV_TX_OK,
            Some(skb) => {
                // The core keeps the reference.
                let _ = skb.into_raw();
                bindings::netdev_tx_NETDEV_TX_BUSY
            }
        }
    }

    /// Schedules a restart of the device, whose queue has been stopped for longer than the timeout.
    ///
    /// Context: timer, under `netif_tx_lock`, bottom halves off. Must not sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    unsafe extern "C" fn ndo_tx_timeout(dev: *mut bindings::net_device, _queue: c_uint) {
        // SAFETY: As required of the caller; `restart` is initialised with the device.
        unsafe { bindings::schedule_work(Self::of(dev).restart.get()) };
    }

    /// Work item of the watchdog: calls the driver's, and schedules the next call.
    ///
    /// Context: workqueue, without the RTNL lock, which it takes. May sleep.
    ///
    /// # Safety
    ///
    /// `work` is in the field `watchdog` of a `Private<D>`.
    pub(super) unsafe extern "C" fn watchdog(work: *mut bindings::work_struct) {
        const WORK: usize = core::mem::offset_of!(bindings::delayed_work, work);
        // SAFETY: As required of the caller; `close` waits for the end of this function.
        let this = unsafe {
            &*work
                .byte_sub(core::mem::offset_of!(Self, watchdog) + WORK)
                .cast::<Self>()
        };
        // The lock may be held by `close`, which waits for this function: waiting for the lock
        // would be a deadlock.
        //
        // SAFETY: Process context.
        if unsafe { bindings::rtnl_trylock() } == 0 {
            this.look_in(D::WATCHDOG_MS / 16);
            return;
        }
        // A call of a method that the driver lacks is a build error, though this code never runs
        // then.
        if D::HAS_WATCHDOG && this.driver.watchdog(this.device()) == Health::Stalled {
            // SAFETY: `restart` is initialised with the device.
            unsafe { bindings::schedule_work(this.restart.get()) };
        }
        this.look_in(D::WATCHDOG_MS);
        // SAFETY: Locked above.
        unsafe { bindings::rtnl_unlock() };
    }

    /// Work item that closes a stalled device and opens it again. If that fails, the interface goes
    /// down.
    ///
    /// Context: workqueue, without the RTNL lock, which it takes. May sleep.
    ///
    /// # Safety
    ///
    /// `work` is the field `restart` of a `Private<D>`.
    pub(super) unsafe extern "C" fn restart(work: *mut bindings::work_struct) {
        // SAFETY: As required of the caller; the value lives until after `cancel_work_sync`.
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
            // SAFETY: The device is registered, and the RTNL lock is held.
            unsafe {
                this.close();
                // A failure was reported, and the interface is down.
                let _ = this.reopen();
            }
        }
        // SAFETY: Locked above.
        unsafe { bindings::rtnl_unlock() };
    }

    /// Programs the receive filters, if the device is open.
    ///
    /// Context: under `netif_addr_lock`, bottom halves off. Must not sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `netif_addr_lock` is held.
    unsafe extern "C" fn ndo_set_rx_mode(dev: *mut bindings::net_device) {
        // SAFETY: As required of the caller.
        let this = unsafe { Self::of(dev) };
        // SAFETY: The lock that protects `filter` is held.
        if let Some(filter) = unsafe { (*this.filter.get()).as_mut() } {
            // SAFETY: As above.
            let mode = unsafe { this.rx_mode(this.device().features()) };
            this.driver.set_rx_mode(filter, &mode);
        }
    }

    /// Changes the hardware address.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, `addr` is a valid `struct sockaddr`, and the RTNL lock
    /// is held.
    unsafe extern "C" fn ndo_set_mac_address(
        dev: *mut bindings::net_device,
        addr: *mut c_void,
    ) -> c_int {
        let sockaddr = addr.cast::<bindings::sockaddr>();
        let mut mac = MacAddress([0; 6]);
        // SAFETY: `sa_data` has an address of `dev->addr_len` bytes, which is 6.
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
        // SAFETY: As required of the caller; changes of `dev_addr` need the RTNL lock.
        unsafe { bindings::eth_hw_addr_set(dev, mac.0.as_ptr()) };
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.driver.set_mac(mac);
        0
    }

    /// Changes the MTU, which the core has compared with the device's limits.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    unsafe extern "C" fn ndo_change_mtu(dev: *mut bindings::net_device, mtu: c_int) -> c_int {
        // SAFETY: As required of the caller. The write is of one word, for concurrent readers.
        unsafe { (&raw mut (*dev).mtu).write_volatile(mtu as c_uint) };
        // SAFETY: As required of the caller.
        let this = unsafe { Self::of(dev) };
        this.filter_again(this.device().features());
        0
    }

    // Optional operations are set for drivers that have them only: the core behaves differently
    // without them, and calls some for each frame.
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
