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

/// Pause frames (IEEE 802.3, annex 31B).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// They are negotiated with the other end.
    pub negotiate: bool,
    /// The device obeys them.
    pub rx: bool,
    /// The device sends them.
    pub tx: bool,
}

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_pauseparam(
        dev: *mut bindings::net_device,
        pause: *mut bindings::ethtool_pauseparam,
    ) {
        // SAFETY: The core only calls this for a registered device of ours.
        let now = unsafe { Self::of(dev) }.driver.pause();
        // SAFETY: The core hands over a valid structure to fill in.
        let pause = unsafe { &mut *pause };
        pause.autoneg = now.negotiate.into();
        pause.rx_pause = now.rx.into();
        pause.tx_pause = now.tx.into();
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn set_pauseparam(
        dev: *mut bindings::net_device,
        pause: *mut bindings::ethtool_pauseparam,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours, with a valid
            // structure.
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
