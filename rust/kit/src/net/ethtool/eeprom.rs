// SPDX-License-Identifier: GPL-2.0-only

//! The EEPROM (`ethtool -e`, `-E`).

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use core::slice;
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};

impl<D: Driver> Private<D> {
    /// Returns the size of the EEPROM in bytes.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn get_eeprom_len(dev: *mut bindings::net_device) -> c_int {
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.driver.eeprom_len() as c_int
    }

    /// Reads bytes of the EEPROM.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it. `eeprom` is valid, its range lies within
    /// `get_eeprom_len`, and `data` has as many bytes.
    pub(super) unsafe extern "C" fn get_eeprom(
        dev: *mut bindings::net_device,
        eeprom: *mut bindings::ethtool_eeprom,
        data: *mut u8,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (eeprom, bytes) = unsafe {
                (
                    &mut *eeprom,
                    slice::from_raw_parts_mut(data, (*eeprom).len as usize),
                )
            };
            bytes.fill(0);
            // SAFETY: As required of the caller.
            let driver = &unsafe { Self::of(dev) }.driver;
            eeprom.magic = driver.eeprom_magic();
            driver.read_eeprom(eeprom.offset, bytes).map(|()| 0)
        })
    }

    /// Writes bytes of the EEPROM.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it. `eeprom` is valid, its range lies within
    /// `get_eeprom_len`, and `data` has as many bytes.
    pub(super) unsafe extern "C" fn set_eeprom(
        dev: *mut bindings::net_device,
        eeprom: *mut bindings::ethtool_eeprom,
        data: *mut u8,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (eeprom, bytes) = unsafe {
                (
                    &*eeprom,
                    slice::from_raw_parts(data, (*eeprom).len as usize),
                )
            };
            // SAFETY: As required of the caller.
            let driver = &unsafe { Self::of(dev) }.driver;
            if eeprom.magic != driver.eeprom_magic() {
                return Err(EFAULT);
            }
            driver.write_eeprom(eeprom.offset, bytes).map(|()| 0)
        })
    }
}
