// SPDX-License-Identifier: GPL-2.0-only

//! Registers (`ethtool -d`) and the message level (`ethtool -s eth0 msglvl`).

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use core::slice;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    sync::atomic::Relaxed, //
};

impl<D: Driver> Private<D> {
    /// Returns the size of the registers that `get_regs` stores, in bytes.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// None; called by the core.
    pub(super) unsafe extern "C" fn get_regs_len(_dev: *mut bindings::net_device) -> c_int {
        (D::REGISTERS * size_of::<u32>()) as c_int
    }

    /// Stores the registers, and the version of their list.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it. `regs` is valid. `data` has the bytes that
    /// `get_regs_len` returns, zeroed and aligned to `u32`.
    pub(super) unsafe extern "C" fn get_regs(
        dev: *mut bindings::net_device,
        regs: *mut bindings::ethtool_regs,
        data: *mut c_void,
    ) {
        // SAFETY: As required of the caller; the core uses `vzalloc`.
        let values = unsafe { slice::from_raw_parts_mut(data.cast::<u32>(), D::REGISTERS) };
        // SAFETY: As required of the caller.
        unsafe { (*regs).version = Self::of(dev).driver.registers(values) };
    }

    /// Returns the message level.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_msglevel(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.driver.messages().load(Relaxed)
    }

    /// Sets the message level.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn set_msglevel(dev: *mut bindings::net_device, level: u32) {
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }
            .driver
            .messages()
            .store(level, Relaxed);
    }
}
