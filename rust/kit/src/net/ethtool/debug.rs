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
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_regs_len(_dev: *mut bindings::net_device) -> c_int {
        (D::REGISTERS * size_of::<u32>()) as c_int
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_regs(
        dev: *mut bindings::net_device,
        regs: *mut bindings::ethtool_regs,
        data: *mut c_void,
    ) {
        // SAFETY: The core hands over zeroed memory of as many bytes as `get_regs_len` said, from
        // `vzalloc`, so aligned to a page.
        let values = unsafe { slice::from_raw_parts_mut(data.cast::<u32>(), D::REGISTERS) };
        // SAFETY: The core only calls this for a registered device of ours, and hands over a valid
        // structure.
        unsafe { (*regs).version = Self::of(dev).driver.registers(values) };
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_msglevel(dev: *mut bindings::net_device) -> u32 {
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.messages().load(Relaxed)
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn set_msglevel(dev: *mut bindings::net_device, level: u32) {
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }
            .driver
            .messages()
            .store(level, Relaxed);
    }
}
