// SPDX-License-Identifier: GPL-2.0-only

//! Pause frames (`ethtool -a`, `-A`).

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

/// Use of pause frames (IEEE 802.3, annex 31B).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// True if it is negotiated with the link partner.
    pub negotiate: bool,
    /// True if the device obeys pause frames.
    pub rx: bool,
    /// True if the device sends pause frames.
    pub tx: bool,
}

impl<D: Driver> Private<D> {
    /// Stores the use of pause frames.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `pause` is valid.
    pub(super) unsafe extern "C" fn get_pauseparam(
        dev: *mut bindings::net_device,
        pause: *mut bindings::ethtool_pauseparam,
    ) {
        // SAFETY: As required of the caller.
        let now = unsafe { Self::of(dev) }.driver.pause();
        // SAFETY: As required of the caller.
        let pause = unsafe { &mut *pause };
        pause.autoneg = now.negotiate.into();
        pause.rx_pause = now.rx.into();
        pause.tx_pause = now.tx.into();
    }

    /// Changes the use of pause frames.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `pause` is valid.
    pub(super) unsafe extern "C" fn set_pauseparam(
        dev: *mut bindings::net_device,
        pause: *mut bindings::ethtool_pauseparam,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (this, pause) = unsafe { (Self::of(dev), &*pause) };
            let pause = Pause {
                negotiate: pause.autoneg != 0,
                rx: pause.rx_pause != 0,
                tx: pause.tx_pause != 0,
            };
            this.driver.set_pause(this.device(), pause).map(|()| 0)
        })
    }
}
