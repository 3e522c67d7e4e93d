// SPDX-License-Identifier: GPL-2.0-only

//! Network devices without hardware: their frames stay in the kernel.
//!
//! A module owns one such device, from load to unload: see
//! [`module_virtual_netdev!`](crate::module_virtual_netdev).

use crate::{
    bindings,
    compat,
    net::{
        self,
        Attachment,
        Config,
        Device,
        Interrupt,
        MacAddress,
        Poll,
        Rings,
        RxMode,
        TxQueue, //
    },
    skb::{
        Skb,
        TxSkb,
        Verdict, //
    }, //
};
use kernel::prelude::*;

/// A driver for one virtual network device.
pub trait Driver: Send + Sync + Sized + 'static {
    /// The name of the interface, at most 15 bytes; `%d` becomes the first free number.
    const NAME: &'static CStr;

    /// The names of the device's own counters, as `ethtool -S` shows them.
    const COUNTERS: &'static [&'static str] = &[];

    /// Makes the driver, when the module is loaded.
    fn new() -> impl PinInit<Self, Error>;

    /// Returns the device's settings for the network stack. Called once, before registration.
    fn config(&self) -> Config;

    /// Called when the interface goes up.
    fn open(&self, dev: &Device) -> Result {
        let _ = dev;
        Ok(())
    }

    /// Called when the interface has gone down and no frame is being sent any more.
    fn stop(&self, dev: &Device) {
        let _ = dev;
    }

    /// Takes a frame that the stack sends, from the Ethernet header on. A method of `wire` counts
    /// the frame by its fate; a frame that is only dropped is not counted.
    fn transmit(&self, wire: &Wire<'_>, frame: Skb);

    /// The values of [`Self::COUNTERS`], in their order, for `ethtool -S`.
    fn counters(&self, values: &mut [u64]) {
        let _ = values;
    }
}

/// The possible fates of a frame that is being sent.
pub struct Wire<'a>(&'a TxQueue<'a>);

impl Wire<'_> {
    /// The network device.
    pub fn device(&self) -> &Device {
        self.0.device()
    }

    /// Counts the frame as sent, to no receiver, and frees it.
    pub fn sent(&self, frame: Skb) {
        self.count_sent(&frame);
        // SAFETY: The reference is the caller's. It is not dropped, which is of interest for those
        // who watch for losses. Callable from any context.
        unsafe { bindings::dev_consume_skb_any(frame.into_raw()) };
    }

    /// Counts the frame as sent and as received by this device, and hands it up to the stack.
    pub fn receive(&self, frame: Skb) {
        self.count_sent(&frame);
        let len = frame.len();
        let dev = self.device().as_raw();
        // SAFETY: Both are valid, and the buffer is ours; `dev_forward_skb` takes it over from its
        // Ethernet header on, strips it of all that belongs to the sender, and counts it where it
        // cannot be received. Bottom halves are disabled in `start_xmit`.
        unsafe {
            if bindings::dev_forward_own_skb(dev, frame.into_raw()) == 0 {
                bindings::dev_dstats_rx_add(dev, len);
            }
        }
    }

    /// Counts the frame as dropped, and frees it.
    pub fn drop_frame(&self, frame: Skb) {
        self.0.drop_frame(frame);
    }

    fn count_sent(&self, frame: &Skb) {
        // SAFETY: Both are valid; bottom halves are disabled in `start_xmit`.
        unsafe {
            bindings::skb_tx_timestamp(frame.as_ptr(), self.device().as_raw());
            bindings::dev_dstats_tx_add_many(self.device().as_raw(), 1, frame.len());
        }
    }
}

/// Makes a [`net::Driver`] of a [`Driver`]: no rings, no interrupts, always a link.
#[pin_data]
struct Soft<D> {
    #[pin]
    driver: D,
}

impl<D: Driver> net::Driver for Soft<D> {
    compat::vtable_impl!();

    type Tx = ();
    type Napi = ();
    type Filter = ();

    const COUNTERS: &'static [&'static str] = D::COUNTERS;

    fn config(&self) -> Config {
        self.driver.config()
    }

    fn open(&self, dev: &Device) -> Result<Rings<Self>> {
        self.driver.open(dev)?;
        Ok(Rings {
            tx: (),
            napi: (),
            filter: (),
        })
    }

    fn start(&self, dev: &Device) {
        dev.set_carrier(true);
    }

    fn stop(&self, dev: &Device, _rings: Rings<Self>) {
        self.driver.stop(dev);
    }

    fn start_xmit<'a>(
        &self,
        _tx: &mut Self::Tx,
        queue: &TxQueue<'a>,
        skb: TxSkb<'a>,
    ) -> Verdict<'a> {
        self.driver.transmit(&Wire(queue), skb.take());
        Verdict::TAKEN
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::NotMine
    }

    fn poll(&self, _napi: &mut Self::Napi, _poll: &mut Poll<'_>) {}

    fn unmask(&self) {}

    fn set_rx_mode(&self, _filter: &mut Self::Filter, _mode: &RxMode<'_>) {}

    fn set_mac(&self, _mac: MacAddress) {}

    fn counters(&self, values: &mut [u64]) {
        self.driver.counters(values);
    }
}

/// The hold of a module on its device, which ends on drop.
#[doc(hidden)]
pub struct Registration<D: Driver>(#[expect(dead_code)] net::Registration<'static, Soft<D>>);

// SAFETY: A reference to it allows no operation.
unsafe impl<D: Driver> Sync for Registration<D> {}

impl<D: Driver> Registration<D> {
    /// Makes the device and registers it.
    ///
    /// # Safety
    ///
    /// The value is dropped, not forgotten, before the module's code is gone.
    pub unsafe fn new() -> Result<Self> {
        const {
            assert!(
                D::NAME.to_bytes().len() < bindings::IFNAMSIZ as usize,
                "the name of the interface is too long"
            )
        };
        let driver = try_pin_init!(Soft { driver <- D::new() }? Error);
        // SAFETY: As required of the caller.
        Ok(Self(unsafe {
            net::Registration::new(Attachment::Nowhere(D::NAME), driver)?
        }))
    }
}

/// Declares a module that is a [`Driver`] of a virtual network device and nothing else. Takes the
/// arguments of `module!`.
#[macro_export]
macro_rules! module_virtual_netdev {
    (type: $type:ty, $($fields:tt)*) => {
        /// The module: it owns the device.
        struct DriverModule {
            _registration: $crate::virt::Registration<$type>,
        }

        impl ::kernel::Module for DriverModule {
            fn init(
                _module: &'static ::kernel::ThisModule,
            ) -> ::kernel::error::Result<Self> {
                static INITIALISED: $crate::module::Initialised =
                    $crate::module::Initialised::new();

                INITIALISED.begin()?;
                ::core::result::Result::Ok(Self {
                    // SAFETY: `module!` keeps the module in a static, and drops it when the module
                    // is unloaded. Any other call of this function fails.
                    _registration: unsafe { $crate::virt::Registration::new() }?,
                })
            }
        }

        ::kernel::prelude::module! {
            type: DriverModule,
            $($fields)*
        }
    };
}
