// SPDX-License-Identifier: GPL-2.0-only

//! The device as one of the kernel's misc devices, which share a major number and a class.
//!
//! For a device that its openers share, the kernel's own [`kernel::miscdevice`] lacks state of the
//! device (each opening has its own, and `open` sees no other), `O_NONBLOCK` and `poll`; in Linux
//! 7.2 also the owner, so that a module can be unloaded while its file is open.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::{
    operations::Device,
    Driver, //
};
use core::pin::Pin;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

/// The hold of a module on its misc device, which ends on drop.
#[doc(hidden)]
pub struct MiscRegistration<D: Driver> {
    // Fields are dropped as they are declared.
    _misc: Misc,
    _device: Pin<KBox<Device<D>>>,
}

// SAFETY: There is nothing to be done with a reference to it.
unsafe impl<D: Driver> Sync for MiscRegistration<D> {}

// SAFETY: `D` is `Send`, and any thread may deregister a misc device.
unsafe impl<D: Driver> Send for MiscRegistration<D> {}

impl<D: Driver> MiscRegistration<D> {
    /// Makes the driver, and the device for it.
    ///
    /// # Safety
    ///
    /// `module` is the module that is being loaded, and its `init` does not fail after this. The
    /// value is dropped, not forgotten, when the module is unloaded, and not before.
    pub unsafe fn new(module: &'static ThisModule) -> Result<Self> {
        let device = KBox::pin_init(Device::<D>::new(module), GFP_KERNEL)?;
        // SAFETY: The operations stay where they are for as long as the module has this value,
        // which is until the module has no users. No later step fails.
        let misc = unsafe { Misc::new(D::NAME, device.as_ref().operations()) }?;
        Ok(Self {
            _misc: misc,
            _device: device,
        })
    }
}

/// The entry that the kernel finds by the minor number when a process opens the device.
struct Misc(KBox<Opaque<bindings::miscdevice>>);

impl Misc {
    /// # Safety
    ///
    /// `operations` stays valid until this is dropped and their module has no users; and when this
    /// has returned, the module's `init` does not fail.
    unsafe fn new(
        name: &'static CStr,
        operations: *const bindings::file_operations,
    ) -> Result<Self> {
        let misc = KBox::new(
            Opaque::new(bindings::miscdevice {
                minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                name: name.as_char_ptr(),
                fops: operations,
                ..pin_init::zeroed()
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: It stays where it is until `drop` has deregistered it.
        to_result(unsafe { bindings::misc_register(misc.get()) }).map(|()| Self(misc))
    }
}

impl Drop for Misc {
    fn drop(&mut self) {
        // SAFETY: Registered in `new`, deregistered once. It waits for openings under way.
        unsafe { bindings::misc_deregister(self.0.get()) };
    }
}
