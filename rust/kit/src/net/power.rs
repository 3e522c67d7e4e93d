// SPDX-License-Identifier: GPL-2.0-only

//! Suspend, resume and shutdown of a network device, for its bus.
//!
//! A driver sees a suspend as a stop, and a resume as an open, which programs all registers. The
//! interface stays up meanwhile, with its device marked as absent. An error of the bus can come while
//! the system goes to sleep, and the system can go to sleep while a device recovers, so the device is
//! back when neither keeps it away.

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    netdev_err, //
};
use kernel::prelude::*;

/// Reason for which a device is absent.
#[derive(Clone, Copy)]
pub(crate) enum Absence {
    /// The system sleeps, or is about to.
    Asleep = 1,
    /// An error of the bus, until the recovery is done; that of a device that is lost never is.
    Error = 2,
}

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
    /// Detaches the device from the stack and closes it, unless it is absent for another reason
    /// already. If `arm` is true, and the user wants the device to wake the system, it is armed for
    /// that, unless it is absent for an error; returns true if it was.
    ///
    /// Context: process, without the RTNL lock, which it takes. May sleep.
    ///
    /// # Safety
    ///
    /// The device is registered.
    pub(super) unsafe fn detach(&self, reason: Absence, arm: bool) -> bool {
        let _rtnl = Rtnl::lock();
        // SAFETY: The device is registered, and the RTNL lock, which protects `absences`, is held.
        let absences = unsafe {
            *self.absences.get() |= reason as u8;
            bindings::netif_device_detach(self.dev.as_ptr());
            self.close();
            *self.absences.get()
        };
        if !arm || absences & Absence::Error as u8 != 0 || !self.may_wake() {
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

    /// Takes back one reason for which the device is absent. If there is no other, opens the device
    /// if its interface is up, and attaches it to the stack. A device that is not absent stays as it
    /// is.
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
    pub(super) unsafe fn attach(&self, reason: Absence) -> Result {
        let _rtnl = Rtnl::lock();
        let dev = self.dev.as_ptr();
        // SAFETY: The RTNL lock, which protects `absences`, is held.
        let absences = unsafe { &mut *self.absences.get() };
        let former = core::mem::replace(absences, *absences & !(reason as u8));
        if former == 0 || *absences != 0 {
            return Ok(());
        }
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
