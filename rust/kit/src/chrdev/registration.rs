// SPDX-License-Identifier: GPL-2.0-only

//! The registration of a device: its number, its class, its node, and last the device itself.
//!
//! Each of these is a value whose drop undoes it, and [`Registration`] has them in the order of
//! teardown: the device can no longer be opened before anything else is undone.

use super::{
    operations::Device,
    Driver, //
};
use core::{
    pin::Pin,
    ptr,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    error::to_result,
    prelude::*, //
};

/// The hold of a module on its device, which ends on drop.
#[doc(hidden)]
pub struct Registration<D: Driver> {
    // Fields are dropped as they are declared.
    _cdev: Cdev,
    _node: Node,
    _class: Class,
    _number: Number,
    _device: Pin<KBox<Device<D>>>,
}

// SAFETY: There is nothing to be done with a reference to it.
unsafe impl<D: Driver> Sync for Registration<D> {}

// SAFETY: `D` is `Send`, and any thread may undo the rest.
unsafe impl<D: Driver> Send for Registration<D> {}

impl<D: Driver> Registration<D> {
    /// Makes the driver, and the device for it.
    ///
    /// # Safety
    ///
    /// `module` is the module that is being loaded, and its `init` does not fail after this. The
    /// value is dropped, not forgotten, when the module is unloaded, and not before.
    pub unsafe fn new(module: &'static ThisModule) -> Result<Self> {
        let device = KBox::pin_init(Device::<D>::new(module), GFP_KERNEL)?;
        let number = Number::new(D::NAME)?;
        let class = Class::new(D::NAME)?;
        let node = Node::new(&class, &number, D::NAME)?;
        // SAFETY: The operations stay where they are for as long as the module has this value,
        // which is until the module has no users. No later step fails.
        let cdev = unsafe { Cdev::new(&number, module, device.as_ref().operations()) }?;
        Ok(Self {
            _cdev: cdev,
            _node: node,
            _class: class,
            _number: number,
            _device: device,
        })
    }
}

/// A device number: a major number that was free, and minor number 0.
struct Number(bindings::dev_t);

impl Number {
    fn new(name: &'static CStr) -> Result<Self> {
        let mut number = 0;
        // SAFETY: The name is copied. The first 0 is the minor number, the 1 is how many.
        to_result(unsafe { bindings::alloc_chrdev_region(&mut number, 0, 1, name.as_char_ptr()) })?;
        Ok(Self(number))
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: It is ours, and given back once.
        unsafe { bindings::unregister_chrdev_region(self.0, 1) };
    }
}

/// A class of devices. The kernel frees it after its last reference is gone.
struct Class(*mut bindings::class);

impl Class {
    fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name stays for as long as the module does.
        Ok(Self(from_err_ptr(unsafe {
            bindings::class_create(name.as_char_ptr())
        })?))
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: It is ours, and has no device any more.
        unsafe { bindings::class_destroy(self.0) };
    }
}

/// A device of the class, with its node in /dev if that is a devtmpfs.
struct Node {
    class: *const bindings::class,
    number: bindings::dev_t,
}

impl Node {
    fn new(class: &Class, number: &Number, name: &'static CStr) -> Result<Self> {
        // SAFETY: The class is registered, and `Registration` has it longer than this. The name is
        // formatted by "%s", as there may be a '%' in it.
        from_err_ptr(unsafe {
            bindings::device_create(
                class.0,
                ptr::null_mut(),
                number.0,
                ptr::null_mut(),
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;
        Ok(Self {
            class: class.0,
            number: number.0,
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: The class is still there, and the device of this number is ours.
        unsafe { bindings::device_destroy(self.class, self.number) };
    }
}

/// The entry that the kernel finds by the number when a process opens the device. Not a part of the
/// module's memory: its last reference may outlive the module (with `CONFIG_DEBUG_KOBJECT_RELEASE`
/// always), and the kernel frees a `cdev` of `cdev_alloc` then.
struct Cdev(NonNull<bindings::cdev>);

impl Cdev {
    /// # Safety
    ///
    /// `operations` stays valid until this is dropped and `module` has no users; and when this has
    /// returned, the module's `init` does not fail.
    unsafe fn new(
        number: &Number,
        module: &'static ThisModule,
        operations: *const bindings::file_operations,
    ) -> Result<Self> {
        // SAFETY: No preconditions.
        let cdev = NonNull::new(unsafe { bindings::cdev_alloc() }).ok_or(ENOMEM)?;
        let raw = cdev.as_ptr();
        // SAFETY: It is valid, and nobody else knows it yet.
        let added = unsafe {
            (*raw).owner = module.as_ptr();
            (*raw).ops = operations;
            bindings::cdev_add(raw, number.0, 1)
        };
        if let Err(error) = to_result(added) {
            // SAFETY: It was not added, and the reference is ours.
            unsafe { bindings::kobject_put(&raw mut (*raw).kobj) };
            return Err(error);
        }
        Ok(Self(cdev))
    }
}

impl Drop for Cdev {
    fn drop(&mut self) {
        // SAFETY: It was added in `new`. This gives up our reference to it.
        unsafe { bindings::cdev_del(self.0.as_ptr()) };
    }
}
