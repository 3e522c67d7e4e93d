// SPDX-License-Identifier: GPL-2.0-only

//! Suspend, resume and shutdown of a network device, for the bus that it is on.
//!
//! To a driver a suspend is a stop and a resume an open: what the device has lost meanwhile, open
//! programs in any case. The interface stays up; the stack is told that its device is absent.

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
        // SAFETY: Process context, as the callers of this file are in.
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
    /// Takes the device from the stack and silences it. Twice is once.
    ///
    /// # Safety
    ///
    /// The device is registered. Process context, without the RTNL lock.
    pub(super) unsafe fn suspend(&self) {
        let _rtnl = Rtnl::lock();
        // SAFETY: The device is registered, and the RTNL lock is held.
        unsafe {
            bindings::netif_device_detach(self.dev.as_ptr());
            self.close();
        }
    }

    /// Makes the device run again, if its interface is up, and gives it back to the stack.
    ///
    /// # Errors
    ///
    /// The driver's, of open. The interface goes down then.
    ///
    /// # Safety
    ///
    /// As for [`Self::suspend`].
    pub(super) unsafe fn resume(&self) -> Result {
        let _rtnl = Rtnl::lock();
        let dev = self.dev.as_ptr();
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
