// SPDX-License-Identifier: GPL-2.0-only

//! Recovery of network devices from errors of the PCI bus.
//!
//! The PCI core calls the handlers in a fixed order, in a thread of its own, which may sleep: first
//! `error_detected`; then, if no driver below the same bridge wants a reset, `mmio_enabled`,
//! otherwise, after the reset, `slot_reset`; at last `resume`. The first takes the network device from
//! the stack and closes it, `slot_reset` makes the PCI device usable, and `resume` gives the network
//! device back. All of that is done here; a driver only decides.
//!
//! [`Documentation/PCI/pci-error-recovery.rst`](srctree/Documentation/PCI/pci-error-recovery.rst)

use super::{
    Driver,
    Operations, //
};
use crate::net::Absence;
use core::marker::PhantomData;
use kernel::{
    bindings::{
        self,
        pci_channel_state_t,
        pci_dev,
        pci_error_handlers,
        pci_ers_result_t, //
    },
    build_error,
    error::VTABLE_DEFAULT_ERROR,
    prelude::*, //
};

/// State of the way to a device on which an error was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Accesses reach the device.
    Normal,
    /// Accesses do not reach the device: reads return ones.
    Frozen,
}

/// Answer of a handler. The PCI core takes the worst answer of all drivers below a bridge.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The device may work again without a reset: [`Recovery::mmio_enabled`] finds out.
    CanRecover,
    /// The device needs a reset.
    NeedReset,
    /// The device works again.
    Recovered,
    /// The device is lost.
    Disconnect,
}

impl Verdict {
    fn into_raw(self) -> pci_ers_result_t {
        match self {
            Self::CanRecover => bindings::pci_ers_result_PCI_ERS_RESULT_CAN_RECOVER,
            Self::NeedReset => bindings::pci_ers_result_PCI_ERS_RESULT_NEED_RESET,
            Self::Recovered => bindings::pci_ers_result_PCI_ERS_RESULT_RECOVERED,
            Self::Disconnect => bindings::pci_ers_result_PCI_ERS_RESULT_DISCONNECT,
        }
    }
}

/// Decisions of a driver whose device can recover from errors of the bus.
///
/// Context: process, with the lock of the PCI device. May sleep. The network device is closed.
#[vtable]
pub trait Recovery: Driver {
    /// Decides about a device for which an error was reported. Must not touch the device.
    fn error_detected(nic: &Self::Nic<'_>, channel: Channel) -> Verdict;

    /// Examines a device whose registers can be accessed again, without a reset. Called only if no
    /// driver below the same bridge wants a reset. Without this method the device counts as
    /// recovered.
    fn mmio_enabled(nic: &Self::Nic<'_>) -> Verdict {
        let _ = nic;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Examines a device after a reset. It is enabled, with its addresses and as bus master. Without
    /// this method the device counts as recovered.
    fn slot_reset(nic: &Self::Nic<'_>) -> Verdict {
        let _ = nic;
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The handlers of a driver's errors, for [`Driver::ERROR_HANDLERS`].
pub struct ErrorHandlers<T: Driver>(*const pci_error_handlers, PhantomData<fn(&T)>);

impl<T: Driver> ErrorHandlers<T> {
    /// Absence of handlers: after an error the device, and all others below the same bridge, are lost.
    pub const NONE: Self = Self(core::ptr::null(), PhantomData);

    pub(super) const fn as_ptr(&self) -> *const pci_error_handlers {
        self.0
    }
}

impl<T: Recovery> ErrorHandlers<T> {
    /// Returns the handlers of a driver that implements [`Recovery`].
    pub const fn new() -> Self {
        Self(&Operations::<T>::ERRORS, PhantomData)
    }
}

impl<T: Recovery> Default for ErrorHandlers<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Recovery> Operations<T> {
    const ERRORS: pci_error_handlers = {
        let mut handlers = pci_error_handlers {
            error_detected: Some(Self::error_detected),
            slot_reset: Some(Self::slot_reset),
            resume: Some(Self::resume_after_error),
            ..pin_init::zeroed()
        };
        if T::HAS_MMIO_ENABLED {
            handlers.mmio_enabled = Some(Self::mmio_enabled);
        }
        handlers
    };

    /// Closes the network device, and asks the driver for its decision.
    ///
    /// # Safety
    ///
    /// Called by the PCI core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn error_detected(
        pdev: *mut pci_dev,
        state: pci_channel_state_t,
    ) -> pci_ers_result_t {
        // SAFETY: As required of the caller; `pdev` is valid.
        let binding = unsafe { Self::binding(&raw mut (*pdev).dev) };
        // The device may be out of reach of its driver's `stop`. Without this it could still write
        // to memory that is freed there.
        //
        // SAFETY: `pdev` is valid.
        unsafe { bindings::pci_clear_master(pdev) };
        binding.registration.detach(Absence::Error, false);
        let channel = match state {
            bindings::pci_channel_io_normal => Channel::Normal,
            bindings::pci_channel_io_frozen => Channel::Frozen,
            _ => return Verdict::Disconnect.into_raw(),
        };
        T::error_detected(binding.registration.driver(), channel).into_raw()
    }

    /// # Safety
    ///
    /// Called by the PCI core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn mmio_enabled(pdev: *mut pci_dev) -> pci_ers_result_t {
        // SAFETY: As required of the caller; `pdev` is valid.
        let binding = unsafe { Self::binding(&raw mut (*pdev).dev) };
        T::mmio_enabled(binding.registration.driver()).into_raw()
    }

    /// Makes a device usable that a reset has left without addresses.
    ///
    /// # Safety
    ///
    /// Called by the PCI core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn slot_reset(pdev: *mut pci_dev) -> pci_ers_result_t {
        // SAFETY: As required of the caller; `pdev` is valid.
        let binding = unsafe { Self::binding(&raw mut (*pdev).dev) };
        // SAFETY: `pdev` is valid, and its lock is held. The core saved the configuration space when
        // it found the device.
        unsafe { bindings::pci_restore_state(pdev) };
        if binding.enabled.again().is_err() {
            return Verdict::Disconnect.into_raw();
        }
        if !T::HAS_SLOT_RESET {
            return Verdict::Recovered.into_raw();
        }
        T::slot_reset(binding.registration.driver()).into_raw()
    }

    /// # Safety
    ///
    /// Called by the PCI core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn resume_after_error(pdev: *mut pci_dev) {
        // SAFETY: As required of the caller; `pdev` is valid.
        let binding = unsafe {
            // Without a reset it is still off.
            bindings::pci_set_master(pdev);
            Self::binding(&raw mut (*pdev).dev)
        };
        // A failure was reported, and the interface is down.
        let _ = binding.registration.attach(Absence::Error);
    }
}
