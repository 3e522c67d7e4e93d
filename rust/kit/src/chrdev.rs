// SPDX-License-Identifier: GPL-2.0-only

//! Character devices: with a major number and a class of their own ([`module_chrdev!`]), or as one
//! of the kernel's misc devices ([`module_misc!`]).
//!
//! A driver implements [`Driver`] for the state that the device has from load to unload. The state
//! of an open file, from open to release, is another value, [`Driver::File`], which
//! [`Driver::open`] makes. Any number of processes call at a time, also with one file, so callbacks
//! get shared references, and a lock of the driver guards all data that changes.
//!
//! ```ignore
//! struct Zeros;
//!
//! #[vtable]
//! impl chrdev::Driver for Zeros {
//!     const NAME: &'static CStr = c"zeros";
//!     type File = ();
//!
//!     fn new() -> impl PinInit<Self, Error> {
//!         Ok(Self)
//!     }
//!
//!     fn open(&self, _access: Access) -> impl PinInit<(), Error> {
//!         Ok(())
//!     }
//!
//!     fn read(&self, _: &Opened<'_, Self>, _: &mut u64, to: &mut ToUser<'_>) -> Result<usize> {
//!         to.copy(&[0; 64])
//!     }
//! }
//!
//! kit::module_chrdev! { type: Zeros, name: "zeros", license: "GPL" }
//! ```
//!
//! # Lifetimes
//!
//! | value | lives until |
//! |---|---|
//! | the module's code, the driver | the last file is closed: an open file counts as a user of the module, by the `owner` of the `cdev` and of its operations |
//! | [`Driver::File`] | the file's release, when no call with the file is under way any more |
//! | `struct cdev`, the class, the device | their last reference is gone, maybe after the module: so the kernel's own code allocates and frees them |
//!
//! # Why a macro owns the registration
//!
//! From `cdev_add` on any process may open the device, and an open file needs the module's code. An
//! open file keeps a module from being unloaded, but not from failing: when its `init` returns an
//! error, the kernel frees the code in any case. So no step may fail after `cdev_add`, and the
//! registration must not be forgotten, which no type can ensure. [`module_chrdev!`] ensures both:
//! it makes a module that has the device and nothing else, and that is initialised once.
//!
//! For the same reason the node in /dev is made first. An open(2) before the end of `init` may fail
//! with `ENXIO`, as for any node without a device.
//!
//! [`module_chrdev!`]: crate::module_chrdev
//! [`module_misc!`]: crate::module_misc
//!
//! C headers: [`include/linux/cdev.h`](srctree/include/linux/cdev.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

mod driver;
mod misc;
mod operations;
mod poll;
mod registration;
mod user;

pub use self::{
    driver::{
        Access,
        Driver,
        Extent,
        Opened, //
    },
    poll::{
        Events,
        Poll, //
    },
    user::{
        FromUser,
        ToUser, //
    }, //
};
#[doc(hidden)]
pub use {
    misc::MiscRegistration,
    registration::Registration, //
};

/// Declares a module that is a [`Driver`] of a character device and nothing else. Takes the
/// arguments of `module!`.
#[macro_export]
macro_rules! module_chrdev {
    ($($fields:tt)*) => {
        $crate::__module_chrdev! { Registration, $($fields)* }
    };
}

/// Declares a module that is a [`Driver`] of a misc device and nothing else: the kernel makes minor
/// number and node, without a class. Takes the arguments of `module!`.
#[macro_export]
macro_rules! module_misc {
    ($($fields:tt)*) => {
        $crate::__module_chrdev! { MiscRegistration, $($fields)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __module_chrdev {
    ($registration:ident, type: $type:ty, $($fields:tt)*) => {
        /// The module: it owns the device.
        struct DriverModule {
            _registration: $crate::chrdev::$registration<$type>,
        }

        impl ::kernel::Module for DriverModule {
            fn init(
                module: &'static ::kernel::ThisModule,
            ) -> ::kernel::error::Result<Self> {
                static INITIALISED: $crate::module::Initialised =
                    $crate::module::Initialised::new();

                INITIALISED.begin()?;
                ::core::result::Result::Ok(Self {
                    // SAFETY: `module` is the one that is being loaded, and nothing fails from here
                    // on. `module!` keeps the module in a static, and drops it when the module is
                    // unloaded. Any other call of this function fails.
                    _registration: unsafe { $crate::chrdev::$registration::new(module) }?,
                })
            }
        }

        ::kernel::prelude::module! {
            type: DriverModule,
            $($fields)*
        }
    };
}
