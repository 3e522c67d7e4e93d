// SPDX-License-Identifier: GPL-2.0-only

//! Identification of the device by its LED (`ethtool -p`).

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use kernel::ffi::c_int;

/// Command for the LED of a device, by which the user finds the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lamp {
    /// Save the state of the LED for [`Lamp::End`].
    Begin,
    /// Switch the LED on.
    On,
    /// Switch the LED off.
    Off,
    /// Restore the state of the LED.
    End,
}

impl<D: Driver> Private<D> {
    /// Begins or ends the blinking of the LED, or switches the LED. Returns the frequency at the
    /// begin.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn set_phys_id(
        dev: *mut bindings::net_device,
        state: bindings::ethtool_phys_id_state,
    ) -> c_int {
        /// Number of times per second that the core switches the LED on and off.
        const TIMES: c_int = 2;

        let (lamp, answer) = match state {
            bindings::ethtool_phys_id_state_ETHTOOL_ID_ACTIVE => (Lamp::Begin, TIMES),
            bindings::ethtool_phys_id_state_ETHTOOL_ID_ON => (Lamp::On, 0),
            bindings::ethtool_phys_id_state_ETHTOOL_ID_OFF => (Lamp::Off, 0),
            _ => (Lamp::End, 0),
        };
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.driver.identify(lamp);
        answer
    }
}
