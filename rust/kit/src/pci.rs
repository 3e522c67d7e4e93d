// SPDX-License-Identifier: GPL-2.0-only

//! Network drivers for PCI devices.
//!
//! A driver implements [`Driver`] and declares its module with
//! [`module_pci_net_driver!`](crate::module_pci_net_driver).
//!
//! # Owners of the registrations
//!
//! The driver core drops the data of a bound driver before the device is unbound. So this data is
//! the only place for the registration of a [`net::Driver`] that borrows from the bound device: a
//! driver that owned its registration could [`core::mem::forget`] it. The data (`Binding`) is
//! made by a `probe` of a private type, which only the kernel can call. The registration of the
//! driver itself lives in the module's static.
//!
//! # Power management
//!
//! A driver needs no code for it: on suspend and on shutdown the kit closes an open device, by
//! [`net::Driver::stop`], and on resume the kit opens the device again.
//!
//! # Errors of the bus
//!
//! A driver whose device can recover from errors implements [`Recovery`] and names it by
//! [`Driver::ERROR_HANDLERS`].

mod errors;
mod ports;

pub use self::{
    errors::{
        Channel,
        ErrorHandlers,
        Recovery,
        Verdict, //
    },
    ports::Ports, //
};
use crate::{
    compat,
    module::Initialised,
    net::{
        self,
        Absence,
        Attachment,
        Registration, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    bindings::{
        self,
        dev_get_drvdata,
        dev_pm_ops,
        pci_dev,
        system_state, //
    },
    device::{
        self,
        Bound,
        Core, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    driver,
    error::{
        from_result,
        to_result, //
    },
    ffi::c_int,
    pci,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// A network driver for PCI devices.
pub trait Driver: Sized + 'static {
    /// Type of the entry that the table of devices has for each device.
    type IdInfo: 'static;

    /// The driver of one network device; it may borrow from the bound PCI device.
    type Nic<'bound>: net::Driver + 'bound;

    /// The table of devices.
    const ID_TABLE: pci::IdTable<Self::IdInfo>;

    /// Width of the device's DMA addresses, in bits.
    const DMA_BITS: u32;

    /// True if the driver uses [`Ports`]. They are enabled if the system has assigned them.
    const USES_PORTS: bool = false;

    /// The handlers of errors of the bus: [`ErrorHandlers::new`] for a driver that implements
    /// [`Recovery`].
    const ERROR_HANDLERS: ErrorHandlers<Self> = ErrorHandlers::NONE;

    /// The kinds of interrupt that the device supports.
    fn irq_types() -> pci::IrqTypes {
        pci::IrqTypes::all()
    }

    /// Makes the driver of a device. Called for each device that is found, after its memory was
    /// enabled and it became bus master.
    ///
    /// `info` is the device's entry of the table. It may be missing: the user can bind the driver
    /// to a device that is not in the table.
    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Nic<'bound>, Error> + 'bound;

    /// Called last for a device, after the network device and the driver's hold on the PCI device
    /// are gone.
    fn removed(dev: &device::Device<Bound>) {
        let _ = dev;
    }

    /// Called when the module is loaded, before the driver is registered.
    fn load() {}

    /// Called last of all, after the driver was unregistered, when the module is about to be
    /// unloaded.
    fn unloaded() {}
}

/// Lets a device on PCI-X read at most `bytes` in one sequence of reads, for devices that would
/// read more than they can store: 512, 1024, 2048 or 4096 (MMRBC, the maximum memory read byte
/// count). A smaller limit stays, and a device without the capability of PCI-X has none. A reset of
/// the bus, or its recovery from an error, brings the former limit back.
///
/// Context: process. May sleep.
///
/// # Errors
///
/// `EINVAL`: `bytes` is another number. `EIO`: the configuration space cannot be written.
pub fn limit_pcix_reads(dev: &device::Device<Bound>, bytes: u16) -> Result {
    let pdev: &pci::Device<Bound> = dev.try_into()?;
    // `pci::Device` is `repr(transparent)` over `Opaque<struct pci_dev>`.
    let pdev: *mut pci_dev = core::ptr::from_ref(pdev).cast_mut().cast();
    // SAFETY: The device is valid. Both functions only access its configuration space.
    unsafe {
        // Negative without the capability.
        if bindings::pcix_get_mmrbc(pdev) > c_int::from(bytes) {
            to_result(bindings::pcix_set_mmrbc(pdev, bytes.into()))?;
        }
    }
    Ok(())
}

/// The bus's view of a driver: its `probe`, and the data that the kernel keeps for a bound device.
///
/// Private: its `probe` registers a network device, and a caller could forget the returned value.
struct Probe<T>(PhantomData<T>);

/// The part of the bus's view of a driver that `Probe` and the kernel's own adapter lack.
struct Operations<T>(PhantomData<T>);

// SAFETY: All of it is the kernel's own adapter's.
unsafe impl<T: Driver> driver::DriverLayout for Operations<T> {
    type DriverType = <pci::Adapter<Probe<T>> as driver::DriverLayout>::DriverType;
    type DriverData<'bound> = <pci::Adapter<Probe<T>> as driver::DriverLayout>::DriverData<'bound>;
    const DEVICE_DRIVER_OFFSET: usize =
        <pci::Adapter<Probe<T>> as driver::DriverLayout>::DEVICE_DRIVER_OFFSET;
}

// SAFETY: `unregister` is valid when the kernel's own adapter has registered.
unsafe impl<T: Driver> driver::RegistrationOps for Operations<T> {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        // SAFETY: The structure is ours to fill in until it is registered. The table is a constant.
        // The rest is as required of the caller.
        unsafe {
            (*reg.get()).shutdown = Some(Self::shutdown);
            (*reg.get()).driver.pm = &Self::PM;
            (*reg.get()).err_handler = T::ERROR_HANDLERS.as_ptr();
            <pci::Adapter<Probe<T>> as driver::RegistrationOps>::register(reg, name, module)
        }
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: As required of the caller.
        unsafe { <pci::Adapter<Probe<T>> as driver::RegistrationOps>::unregister(reg) }
    }
}

/// `PCI_D3hot` of `linux/pci.h`, a macro with a cast.
const D3_HOT: bindings::pci_power_t = 3;

impl<T: Driver> Operations<T> {
    // The operations that `SYSTEM_SLEEP_PM_OPS` sets. The PCI core saves and restores the
    // configuration space, and the power state, around these.
    const PM: dev_pm_ops = dev_pm_ops {
        suspend: Some(Self::suspend),
        resume: Some(Self::resume),
        freeze: Some(Self::suspend),
        thaw: Some(Self::resume),
        poweroff: Some(Self::suspend),
        restore: Some(Self::resume),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `dev` is bound to this driver for `'a`.
    unsafe fn binding<'a>(dev: *mut bindings::device) -> Pin<&'a Binding<'a, T>> {
        // SAFETY: The kernel's adapter has put a `Pin<KBox<Binding>>` there when `probe` was done,
        // and takes it away when the device is unbound.
        unsafe { Pin::<KBox<Binding<'a, T>>>::borrow(dev_get_drvdata(dev)) }
    }

    /// # Safety
    ///
    /// Called by the PM core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn suspend(dev: *mut bindings::device) -> c_int {
        // SAFETY: As required of the caller.
        unsafe { Self::binding(dev) }
            .registration
            .detach(Absence::Asleep, true);
        0
    }

    /// # Safety
    ///
    /// Called by the PM core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn resume(dev: *mut bindings::device) -> c_int {
        // SAFETY: As required of the caller.
        let binding = unsafe { Self::binding(dev) };
        from_result(|| binding.registration.attach(Absence::Asleep).map(|()| 0))
    }

    /// Stops the device before the system goes down or another kernel runs, so that the device no
    /// longer writes to memory. If the system does not start again by itself, the device may be
    /// armed to wake it.
    ///
    /// # Safety
    ///
    /// Called by the PCI core, with the lock of a device that is bound to this driver.
    unsafe extern "C" fn shutdown(pdev: *mut pci_dev) {
        // SAFETY: As required of the caller; `pdev` is valid.
        let binding = unsafe { Self::binding(&raw mut (*pdev).dev) };
        // SAFETY: The kernel writes it before it calls this.
        let state = unsafe { (&raw const system_state).read() };
        let armed = binding.registration.detach(
            Absence::Asleep,
            state != bindings::system_states_SYSTEM_RESTART,
        );
        if state == bindings::system_states_SYSTEM_POWER_OFF {
            // SAFETY: `pdev` is valid. Failure leaves a device that is stopped.
            unsafe {
                bindings::pci_wake_from_d3(pdev, armed);
                bindings::pci_set_power_state(pdev, D3_HOT);
            }
        }
    }
}

/// The content of a module that is a [`Driver`]: its registration with the PCI core.
// The order of the fields is the order of teardown.
#[doc(hidden)]
#[pin_data]
pub struct Module<T: Driver> {
    #[pin]
    _registration: driver::Registration<Operations<T>>,
    _unloaded: Unloaded<T>,
}

impl<T: Driver> Module<T> {
    /// Registers the driver.
    ///
    /// # Safety
    ///
    /// The value is dropped, not forgotten, before the module's code is gone.
    pub unsafe fn new(
        name: &'static CStr,
        module: &'static ThisModule,
        initialised: &'static Initialised,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: { initialised.begin()? },
            _: { T::load() },
            // Before the registration, which can fail.
            _unloaded: Unloaded(PhantomData),
            _registration <- driver::Registration::new(name, module),
        })
    }
}

/// Calls [`Driver::unloaded`] on drop.
struct Unloaded<T: Driver>(PhantomData<fn() -> T>);

impl<T: Driver> Drop for Unloaded<T> {
    fn drop(&mut self) {
        T::unloaded();
    }
}

/// Declares a module that is a [`Driver`] of PCI network devices and nothing else. Takes the
/// arguments of `module!`.
///
/// ```ignore
/// kit::module_pci_net_driver! {
///     type: MyDriver,
///     name: "my_driver",
///     license: "GPL",
/// }
/// ```
#[macro_export]
macro_rules! module_pci_net_driver {
    (type: $type:ty, $($fields:tt)*) => {
        /// The module: it owns the driver's registration.
        #[::kernel::prelude::pin_data]
        struct DriverModule {
            #[pin]
            _content: $crate::pci::Module<$type>,
        }

        impl ::kernel::InPlaceModule for DriverModule {
            fn init(
                module: &'static ::kernel::ThisModule,
            ) -> impl ::kernel::prelude::PinInit<Self, ::kernel::error::Error> {
                static INITIALISED: $crate::module::Initialised =
                    $crate::module::Initialised::new();

                ::kernel::prelude::try_pin_init!(Self {
                    // SAFETY: `module!` keeps the module in a static, and drops it when the module
                    // is unloaded. Any other call of this function fails.
                    _content <- unsafe {
                        $crate::pci::Module::new(
                            <Self as ::kernel::ModuleMetadata>::NAME,
                            module,
                            &INITIALISED,
                        )
                    },
                })
            }
        }

        ::kernel::prelude::module! {
            type: DriverModule,
            $($fields)*
        }
    };
}

/// The hold on one PCI device.
// The order of the fields is the order of teardown.
struct Binding<'bound, T: Driver> {
    registration: Registration<'bound, T::Nic<'bound>>,
    _vectors: compat::IrqVectors<'bound>,
    enabled: Enabled<'bound>,
    _goodbye: Goodbye<'bound, T>,
}

struct Goodbye<'bound, T: Driver>(&'bound device::Device<Bound>, PhantomData<T>);

// SAFETY: A reference to a device, and no `T`.
unsafe impl<T: Driver> Send for Goodbye<'_, T> {}

impl<T: Driver> Drop for Goodbye<'_, T> {
    fn drop(&mut self) {
        T::removed(self.0);
    }
}

/// A PCI device with its memory enabled, and bus master; disabled again on drop.
struct Enabled<'bound> {
    pdev: &'bound pci::Device<Bound>,
    /// False after [`Self::again`] has failed.
    is_enabled: Atomic<bool>,
    with_ports: bool,
}

impl<'bound> Enabled<'bound> {
    /// `pdev` is being probed, so its lock is held.
    fn new(pdev: &'bound pci::Device<Core<'_>>, with_ports: bool) -> Result<Self> {
        let enabled = Self {
            pdev,
            is_enabled: Atomic::new(false),
            with_ports,
        };
        enabled.enable()?;
        Ok(enabled)
    }

    fn as_raw(&self) -> *mut pci_dev {
        // `pci::Device` is `repr(transparent)` over `Opaque<struct pci_dev>`.
        core::ptr::from_ref(self.pdev).cast_mut().cast()
    }

    /// Disables the device, if it is enabled. The caller has the device's lock.
    fn disable(&self) {
        if self.is_enabled.xchg(false, Relaxed) {
            // SAFETY: The device is valid, and was enabled. This runs in probe, in unbind or in the
            // handler of an error, under the device's lock, so no other code enables or disables
            // it meanwhile.
            unsafe {
                bindings::pci_clear_master(self.as_raw());
                bindings::pci_disable_device(self.as_raw());
            }
        }
    }

    /// Enables the device after a reset. The caller has the device's lock.
    fn again(&self) -> Result {
        // The core counts: an enabled device would not be touched.
        self.disable();
        self.enable()
    }

    /// Enables the device, which is not enabled. The caller has the device's lock.
    fn enable(&self) -> Result {
        let pdev = self.as_raw();
        // Ports are scarce: the system may have assigned none. The device is usable without them.
        //
        // SAFETY: The device is valid.
        if !self.with_ports || unsafe { bindings::pci_enable_device(pdev) } != 0 {
            // SAFETY: The device is valid.
            to_result(unsafe { bindings::pci_enable_device_mem(pdev) })?;
        }
        self.is_enabled.store(true, Relaxed);
        // SAFETY: The device is valid.
        unsafe { bindings::pci_set_master(pdev) };
        Ok(())
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        self.disable();
    }
}

impl<T: Driver> pci::Driver for Probe<T> {
    type IdInfo = T::IdInfo;
    type Data<'bound> = Binding<'bound, T>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = T::ID_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        info: compat::IdInfo<'bound, Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        let bound: &'bound pci::Device<Bound> = pdev;

        // SAFETY: The device is being probed and its driver's code has not run yet, so nobody
        // allocates or maps DMA memory for it.
        unsafe { pdev.dma_set_mask_and_coherent(DmaMask::try_new(T::DMA_BITS)?)? };
        let enabled = Enabled::new(pdev, T::USES_PORTS)?;
        let (vectors, _) = compat::alloc_irq(bound, T::irq_types())?;
        let nic = T::probe(pdev, compat::id_info(info));
        // SAFETY: The driver core owns the value from here on. It drops it in post-unbind, before
        // the device is unbound and `'bound` ends, and unbinds all devices before the module's
        // driver is unregistered.
        let registration = unsafe { Registration::new(Attachment::Pci(bound), nic) }?;
        Ok(Binding {
            registration,
            _vectors: vectors,
            enabled,
            _goodbye: Goodbye(bound.as_ref(), PhantomData),
        })
    }
}
