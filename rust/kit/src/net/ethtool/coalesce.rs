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
    /// Stores the minimum time between two interrupts, and whether it follows the traffic.
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
        let (driver, coalesce) = unsafe { (&Self::of(dev).driver, &mut *coalesce) };
        coalesce.rx_coalesce_usecs = driver.interrupt_interval();
        if D::HAS_ADAPTS_INTERVAL {
            coalesce.use_adaptive_rx_coalesce = driver.adapts_interval().into();
        }
        0
    }

    /// Sets the minimum time between two interrupts, or has it follow the traffic.
    ///
    /// The request has both, of which the user may have changed one only: a new time, which ends
    /// the following, is not undone by the flag that stayed as it was.
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
            let (driver, coalesce) = unsafe { (&Self::of(dev).driver, &*coalesce) };
            if !D::HAS_ADAPTS_INTERVAL {
                driver.set_interrupt_interval(coalesce.rx_coalesce_usecs)?;
                return Ok(0);
            }
            let before = driver.adapts_interval();
            let wanted = coalesce.use_adaptive_rx_coalesce != 0;
            driver.set_interrupt_interval(coalesce.rx_coalesce_usecs)?;
            if wanted != before && wanted != driver.adapts_interval() {
                driver.set_adaptive_interval(wanted)?;
            }
            Ok(0)
        })
    }
}
