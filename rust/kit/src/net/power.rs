// SPDX-License-Identifier: GPL-2.0-only

//! Suspend, resume and shutdown of a network device, for its bus.
//!
//! A driver sees a suspend as a stop, and a resume as an open, which programs all registers. The
//! interface stays up meanwhile, with its device marked as absent.

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    netdev_err, //
};
use kernel::prelude::*;

/// The RTNL lock, held until it is dropped.
struct Rtnl;

impl Rtnl {
    fn lock() -> Self {
        // SAFETY: Called by `detach` and `attach`, so in process context without the RTNL lock.
        unsafe { bindings::rtnl_lock() };
        Self
    }
}

impl Drop for Rtnl {
    fn drop(&mut self) {
        // SAFETY: Locked in `lock`.
        unsafe { bindings::rtnl_unlock() };
    }
}

impl<D: Driver> Private<D> {
    /// Detaches the device from the stack and closes it. A second call has no effect. If `arm` is
    /// true, and the user wants the device to wake the system, it is armed for that; returns true
    /// if it was.
    ///
    /// Context: process, without the RTNL lock, which it takes. May sleep.
    ///
    /// # Safety
    ///
    /// The device is registered.
    pub(super) unsafe fn detach(&self, arm: bool) -> bool {
        let _rtnl = Rtnl::lock();
        // SAFETY: The device is registered, and the RTNL lock is held.
        unsafe {
            bindings::netif_device_detach(self.dev.as_ptr());
            self.close();
        }
        if !arm || !self.may_wake() {
            return false;
        }
        match self.driver.arm_wake(self.device()) {
            Ok(()) => true,
            Err(e) => {
                netdev_err!(self.device(), "wake-on-LAN failed: {:?}\n", e);
                false
            }
        }
    }

    /// Opens the device if its interface is up, and attaches it to the stack.
    ///
    /// Context: process, without the RTNL lock, which it takes. May sleep.
    ///
    /// # Errors
    ///
    /// The error of [`Driver::open`]. The interface is down then.
    ///
    /// # Safety
    ///
    /// As for [`Self::detach`].
    pub(super) unsafe fn attach(&self) -> Result {
        let _rtnl = Rtnl::lock();
        let dev = self.dev.as_ptr();
        if D::HAS_DISARM_WAKE {
            self.driver.disarm_wake();
        }
        // SAFETY: The device is registered.
        let result = if unsafe { bindings::netif_running(dev) } {
            // SAFETY: The RTNL lock is held.
            unsafe { self.open() }
        } else {
            Ok(())
        };
        // SAFETY: The device is registered, and the RTNL lock is held.
        unsafe {
            bindings::netif_device_attach(dev);
            if let Err(e) = result {
                netdev_err!(self.device(), "resume failed: {:?}, going down\n", e);
                bindings::dev_close(dev);
            }
        }
        result
    }
}
