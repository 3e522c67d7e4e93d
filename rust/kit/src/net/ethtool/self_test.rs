// SPDX-License-Identifier: GPL-2.0-only

//! Self-tests (`ethtool -t`).

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use core::slice;

impl<D: Driver> Private<D> {
    /// Tests the device. For the tests that disturb it, an open device is closed, and opened
    /// afterwards.
    ///
    /// Context: process. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` is registered, with a `Private<D>` behind it, and the RTNL lock is held. `test` is
    /// valid, and `data` has as many values as `get_sset_count` returns, zeroed.
    pub(super) unsafe extern "C" fn self_test(
        dev: *mut bindings::net_device,
        test: *mut bindings::ethtool_test,
        data: *mut u64,
    ) {
        const OFFLINE: u32 = bindings::ethtool_test_flags_ETH_TEST_FL_OFFLINE;
        const FAILED: u32 = bindings::ethtool_test_flags_ETH_TEST_FL_FAILED;

        // SAFETY: As required of the caller.
        let (this, test, results) = unsafe {
            (
                Self::of(dev),
                &mut *test,
                slice::from_raw_parts_mut(data, D::SELF_TESTS.len()),
            )
        };
        let offline = test.flags & OFFLINE != 0;
        let reopen = offline && this.device().is_up();
        this.driver.self_test(this.device(), false, results);
        if reopen {
            // SAFETY: The RTNL lock is held.
            unsafe { this.close() };
        }
        if offline {
            this.driver.self_test(this.device(), true, results);
        }
        // SAFETY: The device is registered, and the RTNL lock is held.
        if reopen && unsafe { this.reopen() }.is_err() {
            test.flags |= FAILED;
        }
        if results.iter().any(|result| *result != 0) {
            test.flags |= FAILED;
        }
    }
}
