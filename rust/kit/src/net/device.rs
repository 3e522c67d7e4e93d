// SPDX-License-Identifier: GPL-2.0-only

//! The network device, as drivers and the callbacks of the kit see it.

use super::{
    ethernet::MacAddress,
    features::Features, //
};
use crate::bindings;
use kernel::{
    ffi::c_ulong,
    fmt,
    prelude::*,
    types::Opaque, //
};

/// A network device.
///
/// # Invariants
///
/// A `Device` is a valid `struct net_device`, not freed while a reference to it lives.
#[repr(transparent)]
pub struct Device(Opaque<bindings::net_device>);

// SAFETY: The methods of `&Device` are safe to call from any thread.
unsafe impl Sync for Device {}

impl Device {
    /// # Safety
    ///
    /// `dev` is valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(dev: *mut bindings::net_device) -> &'a Self {
        // SAFETY: `Device` is `repr(transparent)`; validity is required of the caller.
        unsafe { &*dev.cast() }
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// Returns the hardware address. Callable from any context.
    pub fn mac(&self) -> MacAddress {
        // SAFETY: `dev_addr` points to at least `MAX_ADDR_LEN` bytes. The reads are of single
        // bytes, so a concurrent change gives a mix of two addresses, as for every reader in C.
        MacAddress(core::array::from_fn(|i| unsafe {
            (*self.as_raw()).dev_addr.add(i).read_volatile()
        }))
    }

    /// Returns the MTU, the largest payload of a frame in bytes. Callable from any context.
    pub fn mtu(&self) -> u32 {
        // SAFETY: Valid by the type invariant; the core writes it with `WRITE_ONCE`.
        unsafe { (&raw const (*self.as_raw()).mtu).read_volatile() }
    }

    /// Returns the features that are switched on. During a change they are the former ones until
    /// the driver has switched. Callable from any context.
    #[inline]
    pub fn features(&self) -> Features {
        // SAFETY: Valid by the type invariant. The read is of one word, so a concurrent change
        // gives the former or the new features.
        Features::from_raw(unsafe { (&raw const (*self.as_raw()).features).read_volatile() })
    }

    /// Returns true if the interface is up and its device is usable: not asleep, nor lost to an error
    /// of the bus. Without the RTNL lock the result can be out of date.
    pub fn is_up(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe {
            bindings::netif_running(self.as_raw()) && bindings::netif_device_present(self.as_raw())
        }
    }

    /// Tells the stack that the link is up or down. Callable from any context.
    pub fn set_carrier(&self, on: bool) {
        // SAFETY: Valid by the type invariant.
        unsafe {
            if on {
                bindings::netif_carrier_on(self.as_raw())
            } else {
                bindings::netif_carrier_off(self.as_raw())
            }
        }
    }

    /// Returns true if the link is up. Callable from any context.
    pub fn carrier(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::netif_carrier_ok(self.as_raw()) }
    }

    /// Returns the number of times that the link came up. Callable from any context.
    pub fn carrier_up_count(&self) -> u32 {
        // SAFETY: Valid by the type invariant; the counter is one word, which the core changes
        // atomically.
        unsafe { (&raw const (*self.as_raw()).carrier_up_count.counter).read_volatile() as u32 }
    }

    /// Adds to the number of frames that the device has dropped for want of a buffer. Callable from
    /// any context.
    pub fn count_missed(&self, frames: u32) {
        // SAFETY: Valid by the type invariant; the counter is atomic.
        unsafe { bindings::dev_stats_add_rx_missed_errors(self.as_raw(), frames as c_ulong) };
    }

    fn printk(&self, level: &[u8], args: fmt::Arguments<'_>) {
        // SAFETY: `level` is one of the kernel's `KERN_*`, which end with a NUL. `%pA` takes a
        // pointer to `fmt::Arguments`.
        unsafe {
            bindings::netdev_printk(
                level.as_ptr(),
                self.as_raw(),
                c"%pA".as_char_ptr(),
                core::ptr::from_ref(&args).cast::<c_void>(),
            )
        };
    }

    /// Prints at info level, with the names of driver, bus device and interface, for
    /// [`netdev_info!`](crate::netdev_info).
    #[doc(hidden)]
    pub fn pr_info(&self, args: fmt::Arguments<'_>) {
        self.printk(kernel::bindings::KERN_INFO, args);
    }

    /// Prints at error level, for [`netdev_err!`](crate::netdev_err).
    #[doc(hidden)]
    pub fn pr_err(&self, args: fmt::Arguments<'_>) {
        self.printk(kernel::bindings::KERN_ERR, args);
    }
}

/// Prints an info-level message with the names of driver, bus device and interface. Callable from
/// any context.
#[macro_export]
macro_rules! netdev_info {
    ($dev:expr, $($f:tt)*) => {
        $crate::net::Device::pr_info($dev, ::kernel::prelude::fmt!($($f)*))
    };
}

/// Prints an error-level message with the names of driver, bus device and interface. Callable from
/// any context.
#[macro_export]
macro_rules! netdev_err {
    ($dev:expr, $($f:tt)*) => {
        $crate::net::Device::pr_err($dev, ::kernel::prelude::fmt!($($f)*))
    };
}
