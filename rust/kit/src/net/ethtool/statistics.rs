// SPDX-License-Identifier: GPL-2.0-only

//! The device's own counters (`ethtool -S`), and names of counters and tests.

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use core::slice;
use kernel::ffi::c_int;

/// Copies names to an array of strings.
///
/// # Safety
///
/// `data` has zeroed memory for all names, `ETH_GSTRING_LEN` bytes each.
unsafe fn copy_names(names: &[&str], data: *mut u8) {
    const LEN: usize = bindings::ETH_GSTRING_LEN as usize;

    for (i, name) in names.iter().enumerate() {
        let len = name.len().min(LEN - 1);
        // SAFETY: As required of the caller.
        unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), data.add(i * LEN), len) };
    }
}

impl<D: Driver> Private<D> {
    // The core prints a warning about an empty set of strings.
    pub(super) const HAS_NAMES: bool = !D::COUNTERS.is_empty() || !D::SELF_TESTS.is_empty();

    /// Returns the number of counters or tests.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// None; called by the core.
    pub(super) unsafe extern "C" fn get_sset_count(
        _dev: *mut bindings::net_device,
        set: c_int,
    ) -> c_int {
        let names = match set as u32 {
            bindings::ethtool_stringset_ETH_SS_STATS => D::COUNTERS,
            bindings::ethtool_stringset_ETH_SS_TEST => D::SELF_TESTS,
            _ => &[],
        };
        match names {
            [] => -(bindings::EOPNOTSUPP as c_int),
            _ => names.len() as c_int,
        }
    }

    /// Stores the names of the counters or tests.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `data` has zeroed memory for as many strings as `get_sset_count` returns.
    pub(super) unsafe extern "C" fn get_strings(
        _dev: *mut bindings::net_device,
        set: u32,
        data: *mut u8,
    ) {
        let names = match set {
            bindings::ethtool_stringset_ETH_SS_STATS => D::COUNTERS,
            bindings::ethtool_stringset_ETH_SS_TEST => D::SELF_TESTS,
            _ => return,
        };
        // SAFETY: As required of the caller.
        unsafe { copy_names(names, data) };
    }

    /// Stores the values of the counters.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `data` has zeroed memory for as many values as
    /// `get_sset_count` returns.
    pub(super) unsafe extern "C" fn get_ethtool_stats(
        dev: *mut bindings::net_device,
        _stats: *mut bindings::ethtool_stats,
        data: *mut u64,
    ) {
        // SAFETY: As required of the caller.
        let values = unsafe { slice::from_raw_parts_mut(data, D::COUNTERS.len()) };
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.driver.counters(values);
    }
}
