// SPDX-License-Identifier: GPL-2.0-only

//! The device's own counters (`ethtool -S`), and the names of counters and tests.

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use core::slice;
use kernel::ffi::c_int;

/// Copies names to where the core wants them.
///
/// # Safety
///
/// There is zeroed memory for as many names at `data`, `ETH_GSTRING_LEN` bytes each.
unsafe fn copy_names(names: &[&str], data: *mut u8) {
    const LEN: usize = bindings::ETH_GSTRING_LEN as usize;

    for (i, name) in names.iter().enumerate() {
        let len = name.len().min(LEN - 1);
        // SAFETY: As required of the caller.
        unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), data.add(i * LEN), len) };
    }
}

impl<D: Driver> Private<D> {
    // The core warns about a set of strings that is there and empty.
    pub(super) const HAS_NAMES: bool = !D::COUNTERS.is_empty() || !D::SELF_TESTS.is_empty();

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
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

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
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
        // SAFETY: The core hands over zeroed memory for as many strings as `get_sset_count` said.
        unsafe { copy_names(names, data) };
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_ethtool_stats(
        dev: *mut bindings::net_device,
        _stats: *mut bindings::ethtool_stats,
        data: *mut u64,
    ) {
        // SAFETY: The core hands over zeroed memory for as many values as `get_sset_count` said.
        let values = unsafe { slice::from_raw_parts_mut(data, D::COUNTERS.len()) };
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.counters(values);
    }
}
