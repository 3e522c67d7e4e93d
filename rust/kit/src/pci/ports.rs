// SPDX-License-Identifier: GPL-2.0-only

//! I/O ports of a PCI device.

use crate::bindings;
use kernel::{
    bindings::{
        pci_dev,
        pci_iomap,
        pci_iounmap,
        pci_read_config_word,
        pci_release_region,
        pci_request_region,
        resource_size_t,
        IORESOURCE_IO,
        IORESOURCE_UNSET,
        PCI_COMMAND,
        PCI_COMMAND_IO,
        PCI_STD_NUM_BARS, //
    },
    device::{
        self,
        Bound, //
    },
    error::to_result,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    pci,
    prelude::*, //
};

/// The ports of a device's first BAR of that kind, for a driver with [`super::Driver::USES_PORTS`].
///
/// # Invariants
///
/// `base` is the mapping of `bar`, which was requested, of `len` bytes.
pub struct Ports<'bound> {
    pdev: &'bound pci::Device<Bound>,
    bar: c_int,
    base: *mut c_void,
    len: resource_size_t,
}

// SAFETY: The mapping may be used and given up by any thread.
unsafe impl Send for Ports<'_> {}

// SAFETY: The methods of `&Ports` are safe to call from any thread.
unsafe impl Sync for Ports<'_> {}

fn as_raw(pdev: &pci::Device<Bound>) -> *mut pci_dev {
    // `pci::Device` is `repr(transparent)` over `Opaque<struct pci_dev>`.
    core::ptr::from_ref(pdev).cast_mut().cast()
}

impl<'bound> Ports<'bound> {
    /// Requests and maps the ports.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device has no ports, the system has assigned none to it, or they are not
    /// enabled ([`super::Driver::USES_PORTS`]). `EBUSY`: they belong to another driver. `EINVAL`: it
    /// is no PCI device.
    pub fn new(dev: &'bound device::Device<Bound>, name: &'static CStr) -> Result<Self> {
        let pdev: &pci::Device<Bound> = dev.try_into()?;
        let raw = as_raw(pdev);
        let mut command = 0;
        // SAFETY: The device is valid.
        to_result(unsafe { pci_read_config_word(raw, PCI_COMMAND as c_int, &mut command) })?;
        if u32::from(command) & PCI_COMMAND_IO == 0 {
            return Err(ENODEV);
        }
        let bar = (0..PCI_STD_NUM_BARS as c_int)
            .find(|bar| {
                // SAFETY: The device is valid and has these BARs.
                let flags = unsafe { bindings::pci_resource_flags(raw, *bar) };
                flags & (IORESOURCE_IO | IORESOURCE_UNSET) as c_ulong == IORESOURCE_IO as c_ulong
            })
            .ok_or(ENODEV)?;
        // SAFETY: The device is valid, `bar` is one of its BARs, and the name is static.
        to_result(unsafe { pci_request_region(raw, bar, name.as_char_ptr()) })?;
        // SAFETY: As above.
        let base = unsafe { pci_iomap(raw, bar, 0) };
        if base.is_null() {
            // SAFETY: Requested above.
            unsafe { pci_release_region(raw, bar) };
            return Err(ENOMEM);
        }
        // SAFETY: The device is valid, and `bar` is one of its BARs.
        let len = unsafe { kernel::bindings::pci_resource_len(raw, bar) };
        // INVARIANT: Requested and mapped.
        Ok(Self {
            pdev,
            bar,
            base,
            len,
        })
    }

    /// Writes a port of 32 bits, by its offset in the BAR, a multiple of 4. An offset beyond the BAR
    /// writes nothing.
    pub fn write32(&self, offset: u8, value: u32) {
        if offset % 4 == 0 && resource_size_t::from(offset) + 4 <= self.len {
            // SAFETY: By the type invariant the mapping has this port.
            unsafe { bindings::iowrite32(value, self.base.byte_add(offset.into())) };
        }
    }
}

impl Drop for Ports<'_> {
    fn drop(&mut self) {
        let raw = as_raw(self.pdev);
        // SAFETY: By the type invariant.
        unsafe {
            pci_iounmap(raw, self.base);
            pci_release_region(raw, self.bar);
        }
    }
}
