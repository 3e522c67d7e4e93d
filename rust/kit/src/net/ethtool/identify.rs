// SPDX-License-Identifier: GPL-2.0-only

//! The device's lamp (`ethtool -p`).

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use kernel::ffi::c_int;

/// What the lamp of a device is to do, so that somebody finds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lamp {
    /// Its former state is about to be needed again.
    Begin,
    /// Shine.
    On,
    /// Do not shine.
    Off,
    /// Back to the former state.
    End,
}

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn set_phys_id(
        dev: *mut bindings::net_device,
        state: bindings::ethtool_phys_id_state,
    ) -> c_int {
        /// How often a second the lamp goes on and off.
        const TIMES: c_int = 2;

        let (lamp, answer) = match state {
            bindings::ethtool_phys_id_state_ETHTOOL_ID_ACTIVE => (Lamp::Begin, TIMES),
            bindings::ethtool_phys_id_state_ETHTOOL_ID_ON => (Lamp::On, 0),
            bindings::ethtool_phys_id_state_ETHTOOL_ID_OFF => (Lamp::Off, 0),
            _ => (Lamp::End, 0),
        };
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.identify(lamp);
        answer
    }
}
