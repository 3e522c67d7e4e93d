// SPDX-License-Identifier: GPL-2.0-only

//! Interrupt moderation (`ethtool -c`, `-C`).

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
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: The core only calls this for a registered device of ours, with a valid structure.
        unsafe { (*coalesce).rx_coalesce_usecs = Self::of(dev).driver.interrupt_interval() };
        0
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn set_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The core only calls this for a registered device of ours, with a valid
            // structure.
            let (driver, usecs) = unsafe { (&Self::of(dev).driver, (*coalesce).rx_coalesce_usecs) };
            driver.set_interrupt_interval(usecs).map(|()| 0)
        })
    }
}
