// SPDX-License-Identifier: GPL-2.0-only

//! Sizes of the rings (`ethtool -g`, `-G`).

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use kernel::{
    error::from_result,
    ffi::c_int, //
};

impl<D: Driver> Private<D> {
    /// Stores the sizes of the rings, present and largest ones.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `ring` is valid.
    pub(super) unsafe extern "C" fn get_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) {
        // SAFETY: As required of the caller.
        let driver = &unsafe { Self::of(dev) }.driver;
        // SAFETY: As required of the caller.
        let ring = unsafe { &mut *ring };
        let now = driver.ring_sizes();
        let most = if D::HAS_MAKE_RINGS {
            driver.max_ring_sizes()
        } else {
            now
        };
        (ring.rx_pending, ring.tx_pending) = now;
        (ring.rx_max_pending, ring.tx_max_pending) = most;
    }

    /// Changes the sizes of the rings. The new rings are allocated before the present ones are
    /// freed, so an open device keeps working if there is no memory.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` is registered, with a `Private<D>` behind it, and the RTNL lock is held. `ring` is
    /// valid, and its sizes are not above the largest ones.
    pub(super) unsafe extern "C" fn set_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (this, ring) = unsafe { (Self::of(dev), &*ring) };
            let driver = &this.driver;
            let sizes = driver.fit_ring_sizes((ring.rx_pending, ring.tx_pending));
            if sizes == driver.ring_sizes() {
                return Ok(0);
            }
            // SAFETY: The RTNL lock is held.
            if !unsafe { this.is_running() } {
                driver.set_ring_sizes(sizes);
                return Ok(0);
            }
            let rings = driver.make_rings(sizes)?;
            driver.set_ring_sizes(sizes);
            // SAFETY: The device is registered, and the RTNL lock is held.
            unsafe { this.exchange(rings) }.map(|()| 0)
        })
    }
}
