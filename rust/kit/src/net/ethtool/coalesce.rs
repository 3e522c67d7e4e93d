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
    /// Returns the minimum time between two interrupts.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `coalesce` is valid.
    pub(super) unsafe extern "C" fn get_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As required of the caller.
        unsafe { (*coalesce).rx_coalesce_usecs = Self::of(dev).driver.interrupt_interval() };
        0
    }

    /// Sets the minimum time between two interrupts.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `coalesce` is valid.
    pub(super) unsafe extern "C" fn set_coalesce(
        dev: *mut bindings::net_device,
        coalesce: *mut bindings::ethtool_coalesce,
        _kernel: *mut bindings::kernel_ethtool_coalesce,
        _ack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (driver, usecs) = unsafe { (&Self::of(dev).driver, (*coalesce).rx_coalesce_usecs) };
            driver.set_interrupt_interval(usecs).map(|()| 0)
        })
    }
}
