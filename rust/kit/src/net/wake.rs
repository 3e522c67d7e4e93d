// SPDX-License-Identifier: GPL-2.0-only

//! Wake-on-LAN: frames by which a device wakes the system, as the user chooses them by `ethtool`.
//!
//! The PCI core brings the device to the right power state, and lets it signal (PME#) if the device
//! is enabled as a source of wake-up. That is a flag of `struct device`, which follows the choice by
//! `ethtool`, and which the user sees and can change in sysfs (`power/wakeup`).
//!
//! C header: [`include/linux/pm_wakeup.h`](srctree/include/linux/pm_wakeup.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    error::not_supported, //
};
use kernel::{
    error::from_result,
    ffi::c_int, //
};

/// Kinds of frames that wake the system: bits `WAKE_*` of `ethtool`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WakeOn(u32);

impl WakeOn {
    /// No frames.
    pub const NONE: Self = Self(0);
    /// Frames to the device's own address.
    pub const UNICAST: Self = Self(bindings::WAKE_UCAST);
    /// Frames to groups.
    pub const MULTICAST: Self = Self(bindings::WAKE_MCAST);
    /// Frames to all stations.
    pub const BROADCAST: Self = Self(bindings::WAKE_BCAST);
    /// Magic packets: frames with the device's address 16 times in a row.
    pub const MAGIC: Self = Self(bindings::WAKE_MAGIC);

    /// Returns the kinds of both.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns true if all of `other` are among them.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the bits `WAKE_*`.
    pub const fn into_raw(self) -> u32 {
        self.0
    }

    /// Returns the kinds for bits of [`Self::into_raw`].
    pub const fn from_raw(bits: u32) -> Self {
        Self(bits)
    }
}

impl<D: Driver> Private<D> {
    /// Returns the device on the bus, or NULL.
    fn bus_device(&self) -> *mut bindings::device {
        // SAFETY: The network device is valid; its parent is set before it is registered.
        unsafe { (*self.dev.as_ptr()).dev.parent }
    }

    /// Returns true if the device on the bus can wake the system.
    fn can_wake(&self) -> bool {
        let parent = self.bus_device();
        // SAFETY: The parent outlives the network device, which has it before it is registered.
        !parent.is_null() && unsafe { bindings::device_can_wakeup(parent) }
    }

    /// Returns true if the device is to wake the system, by the choice of frames and in sysfs.
    pub(super) fn may_wake(&self) -> bool {
        D::HAS_ARM_WAKE
            && self.can_wake()
            // SAFETY: The parent is valid while the network device is registered.
            && unsafe { bindings::device_may_wakeup(self.bus_device()) }
            && self.driver.wake_on().1 != WakeOn::NONE
    }

    /// Gives the choice of frames to the PM core.
    pub(super) fn tell_wake(&self) {
        if D::HAS_ARM_WAKE && self.can_wake() {
            let wanted = self.driver.wake_on().1 != WakeOn::NONE;
            // SAFETY: As in `can_wake`. Failure (no memory) leaves the device as it is, and
            // `may_wake` reads it.
            unsafe { bindings::device_set_wakeup_enable(self.bus_device(), wanted) };
        }
    }

    /// Stores the supported and the wanted kinds of frames.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `info` is valid and zeroed.
    pub(super) unsafe extern "C" fn get_wol(
        dev: *mut bindings::net_device,
        info: *mut bindings::ethtool_wolinfo,
    ) {
        // SAFETY: As required of the caller.
        let this = unsafe { Self::of(dev) };
        if this.can_wake() {
            let (supported, wanted) = this.driver.wake_on();
            // SAFETY: As required of the caller.
            unsafe {
                (*info).supported = supported.0;
                (*info).wolopts = wanted.0;
            }
        }
    }

    /// Changes the wanted kinds of frames.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `info` is valid.
    pub(super) unsafe extern "C" fn set_wol(
        dev: *mut bindings::net_device,
        info: *mut bindings::ethtool_wolinfo,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (this, wanted) = unsafe { (Self::of(dev), WakeOn((*info).wolopts)) };
            let supported = if this.can_wake() {
                this.driver.wake_on().0
            } else {
                WakeOn::NONE
            };
            if !supported.has(wanted) {
                return Err(not_supported());
            }
            this.driver.set_wake_on(wanted);
            this.tell_wake();
            Ok(0)
        })
    }
}
