// SPDX-License-Identifier: GPL-2.0-only

//! The trait that a network driver implements, and the types of its methods.

use super::{
    device::Device,
    ethernet::MacAddress,
    ethtool::{
        Lamp,
        LinkModes,
        LinkRequest,
        Pause, //
    },
    features::{
        FeatureSet,
        Features, //
    },
    napi::Poll,
    queue::TxQueue,
    rx_mode::RxMode,
    statistics::DeviceCounts,
    wake::WakeOn, //
};
use crate::skb::{
    Skb,
    TxSkb,
    Verdict, //
};
use kernel::{
    build_error,
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    sync::atomic::Atomic, //
};

/// Properties of a device that the network stack needs at its registration.
pub struct Config {
    /// The hardware address.
    pub mac: MacAddress,
    /// The largest MTU, in bytes.
    pub max_mtu: u32,
    /// Transmit offloads of the device.
    pub offloads: Offloads,
}

/// Transmit offloads of a device.
#[derive(Clone, Copy, Default)]
pub struct Offloads {
    /// Frames in several pieces of memory, and one Internet checksum at any place of a frame
    /// ([`crate::skb::Skb::checksum`]).
    pub scatter_and_checksum: bool,
    /// Segmentation of TCP over IP version 4 ([`crate::skb::Skb::segmentation`]). Needs
    /// `scatter_and_checksum`.
    pub tcp_segmentation: bool,
    /// Segmentation of TCP over IP version 6. Needs `scatter_and_checksum`.
    pub tcp6_segmentation: bool,
}

/// State of a device that exists from open to stop.
pub struct Rings<D: Driver + ?Sized> {
    /// State that [`Driver::start_xmit`] gets.
    pub tx: D::Tx,
    /// State that [`Driver::poll`] gets.
    pub napi: D::Napi,
    /// State that [`Driver::set_rx_mode`] gets.
    pub filter: D::Filter,
}

/// Result of an interrupt handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The device did not raise the interrupt; another one on a shared line did.
    NotMine,
    /// The interrupt is handled completely.
    Handled,
    /// The device's interrupts are masked; schedule the poll function.
    Poll,
}

/// Result of [`Driver::watchdog`].
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No fault was found.
    Good,
    /// Frames on the ring will not be sent. The device is stopped, which drops these frames, and
    /// opened again.
    Stalled,
}

/// Speed and duplex of a link that is up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// Speed in Mbit/s.
    pub speed: u32,
    /// True for full duplex, false for half duplex.
    pub full_duplex: bool,
}

/// A driver of one network device; the type holds the device's state from probe to remove.
///
/// The value is pinned inside the network device's own memory. It is dropped when the device is
/// unregistered and no callback can run any more. Its fields are dropped in the order of their
/// declaration, which is thus the order of teardown.
///
/// # Contexts
///
/// The kernel calls the methods in these contexts. "BH off" means that bottom halves (soft
/// interrupts) are off. `start_xmit` and `poll` run with all interrupts off when netpoll
/// (netconsole) calls them; the budget of such a poll is 0, so it can complete transmitted frames
/// and receive none.
///
/// | callback | locks held | may sleep | interrupts |
/// |---|---|---|---|
/// | [`config`], drop | none of the network stack | yes | on |
/// | [`open`], [`start`], [`stop`], [`set_mac`], [`set_features`] | RTNL | yes | on |
/// | [`fix_features`] | RTNL | yes | on |
/// | [`set_rx_mode`] | `netif_addr_lock` | no | on, BH off |
/// | [`start_xmit`] | the transmit queue's lock | no | on, BH off; netpoll: off |
/// | [`features_check`] | none, or the transmit queue's lock | no | on, BH off; netpoll: off |
/// | [`poll`], [`unmask`] | none; NAPI runs one at a time | no | on, BH off; netpoll: off |
/// | [`watchdog`] | RTNL | yes | on |
/// | methods for `mii-tool` | RTNL | yes | on |
/// | methods for `ethtool` | RTNL | yes | on |
/// | [`counts`] | RTNL or RCU, and possibly others | no | on |
/// | [`interrupt`] | none | no | off; on in the handler's thread of `PREEMPT_RT` |
///
/// State that several of them share, beyond the `&mut` that they get, is protected by a lock that
/// fits all of these contexts ([`crate::lock`] has the table), or is an
/// [`Atomic`](kernel::sync::atomic::Atomic).
///
/// A method with a default that a driver does not implement is an operation that the device lacks.
/// The kernel reports it as not supported.
///
/// [`config`]: Self::config
/// [`open`]: Self::open
/// [`start`]: Self::start
/// [`stop`]: Self::stop
/// [`set_mac`]: Self::set_mac
/// [`fix_features`]: Self::fix_features
/// [`set_features`]: Self::set_features
/// [`set_rx_mode`]: Self::set_rx_mode
/// [`start_xmit`]: Self::start_xmit
/// [`features_check`]: Self::features_check
/// [`poll`]: Self::poll
/// [`unmask`]: Self::unmask
/// [`watchdog`]: Self::watchdog
/// [`counts`]: Self::counts
/// [`interrupt`]: Self::interrupt
#[vtable]
pub trait Driver: Send + Sync {
    /// State of [`Self::start_xmit`], which gets it as `&mut`.
    type Tx: Send;
    /// State of [`Self::poll`], which gets it as `&mut`.
    type Napi: Send;
    /// State of [`Self::set_rx_mode`], which gets it as `&mut`; `()` for a device without filters.
    type Filter: Send;

    /// Names of the device's own counters, as `ethtool -S` shows them.
    const COUNTERS: &'static [&'static str] = &[];

    /// True if [`Self::set_rx_mode`] programs the addresses of [`RxMode::unicast`]. If false, the
    /// stack makes the device promiscuous as soon as it wants more than the device's own address.
    const UNICAST_FILTER: bool = false;

    /// Address of the PHY on the management bus (IEEE 802.3, 22.2.4.5.5), for [`Self::read_phy`].
    const PHY_ADDRESS: u8 = 1;

    /// Features of the device, besides those of [`Config::offloads`].
    const FEATURES: FeatureSet = FeatureSet::NONE;

    /// Number of values that [`Self::registers`] returns.
    const REGISTERS: usize = 0;

    /// Names of the tests of [`Self::self_test`].
    const SELF_TESTS: &'static [&'static str] = &[];

    /// Period of [`Self::watchdog`], in milliseconds.
    const WATCHDOG_MS: u32 = 2000;

    /// Returns the properties that the network stack needs. Called once, before registration.
    ///
    /// Context: process, no lock of the network stack held. May sleep.
    fn config(&self) -> Config;

    /// Prepares the device for operation, with its interrupts masked, and returns its rings. The
    /// device may have lost all its registers in a suspend.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn open(&self, dev: &Device) -> Result<Rings<Self>>;

    /// Unmasks the interrupts of the device. Rings, NAPI and the interrupt handler are ready.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn start(&self, dev: &Device);

    /// Stops the device and its DMA, then frees the rings. Called on close, before a suspend, and
    /// on shutdown of the system.
    ///
    /// No other code can access the rings any more. The interrupt handler may still run.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn stop(&self, dev: &Device, rings: Rings<Self>);

    /// Transmits one frame.
    ///
    /// Context: under the transmit queue's lock, bottom halves off; called by netpoll, interrupts
    /// off. Must not sleep.
    fn start_xmit<'a>(&self, tx: &mut Self::Tx, queue: &TxQueue<'a>, skb: TxSkb<'a>)
        -> Verdict<'a>;

    /// Handles an interrupt. Can run from open to stop.
    ///
    /// Context: hard interrupt, interrupts off; with `PREEMPT_RT` a thread, interrupts on. No lock
    /// held. Must not sleep.
    fn interrupt(&self) -> Interrupt;

    /// Receives frames and completes transmitted ones, within the budget of `poll`.
    ///
    /// Context: NAPI, one run at a time, bottom halves off; called by netpoll, with a budget of 0,
    /// interrupts off. No lock held. Must not sleep.
    fn poll(&self, napi: &mut Self::Napi, poll: &mut Poll<'_>);

    /// Unmasks the interrupts of the device after the last run of a poll.
    ///
    /// Context: as for [`Self::poll`]. Must not sleep.
    fn unmask(&self);

    /// Programs the receive filters, and the largest frame by [`Device::mtu`]. Called once in open,
    /// before [`Self::start`], and after each change.
    ///
    /// Context: under `netif_addr_lock`, bottom halves off. Must not sleep.
    fn set_rx_mode(&self, filter: &mut Self::Filter, mode: &RxMode<'_>);

    /// Returns the wanted features, adjusted so that they fit each other. Called before features
    /// are switched, and at registration.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn fix_features(&self, wanted: Features) -> Features {
        let _ = wanted;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Switches features of the device. They also have to be in effect after the next open, which
    /// finds them in [`Device::features`].
    ///
    /// Unless this method fails, a call of [`Self::set_rx_mode`] follows if the device is open,
    /// with the new features in [`RxMode::features`]. The call follows also without this method.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_features(&self, dev: &Device, features: Features) -> Result {
        let _ = (dev, features);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns those of `features` that the device has for this frame. The stack does the work of
    /// the others: without [`Features::SCATTER`] it linearises the frame, without
    /// [`Features::TCP_SEGMENTATION`] it segments the frame.
    ///
    /// Called for each frame: a driver that would always return `features` should not have it.
    ///
    /// Context: bottom halves off; called by netpoll, interrupts off. The transmit queue's lock may
    /// be held. Must not sleep.
    fn features_check(&self, skb: &Skb, features: Features) -> Features {
        let _ = (skb, features);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Programs a new hardware address, which also has to be in effect after the next open.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_mac(&self, mac: MacAddress);

    /// Checks an open device every [`Self::WATCHDOG_MS`]: changes of the link without an interrupt,
    /// counters that would overflow, a transmitter that hangs.
    ///
    /// Context: workqueue, under the RTNL lock. May sleep.
    fn watchdog(&self, dev: &Device) -> Health {
        let _ = dev;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns speed and duplex, for `ethtool`; `None` without a link.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn link(&self) -> Option<LinkSettings> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the sizes of the receive and the transmit ring in descriptors, for `ethtool -g`.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn ring_sizes(&self) -> (u32, u32) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the largest sizes of the receive and the transmit ring in descriptors. Needed by
    /// [`Self::make_rings`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn max_ring_sizes(&self) -> (u32, u32) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the possible sizes of a receive and a transmit ring that are nearest to the wanted
    /// ones, which are not above [`Self::max_ring_sizes`]. Needed by [`Self::make_rings`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn fit_ring_sizes(&self, wanted: (u32, u32)) -> (u32, u32) {
        let _ = wanted;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Stores the sizes of the rings, which the next [`Self::open`] has to use, too. Needed by
    /// [`Self::make_rings`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_ring_sizes(&self, sizes: (u32, u32)) {
        let _ = sizes;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Allocates rings for `ethtool -G`, while the device works on its present ones. Must not
    /// access the device, and must change nothing if it fails.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn make_rings(&self, sizes: (u32, u32)) -> Result<Rings<Self>> {
        let _ = sizes;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Does the work of [`Self::open`] with rings of [`Self::make_rings`], by which it is needed.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn open_with(&self, dev: &Device, rings: Rings<Self>) -> Result<Rings<Self>> {
        let _ = (dev, rings);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the requested link settings, and the link modes that the device supports, for
    /// `ethtool`. Needs [`Self::link`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn link_request(&self) -> (LinkRequest, LinkModes) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes the link settings, for `ethtool -s`, to modes that are all supported. They also have
    /// to be in effect after the next open. Needs [`Self::link_request`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_link_request(&self, dev: &Device, request: LinkRequest) -> Result {
        let _ = (dev, request);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Restarts the negotiation with the link partner, for `ethtool -r`. The interface is up.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn negotiate_again(&self) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the use of pause frames, for `ethtool -a`. Needs [`Self::set_pause`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn pause(&self) -> Pause {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes the use of pause frames, for `ethtool -A`. The setting also has to be in effect
    /// after the next open.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_pause(&self, dev: &Device, pause: Pause) -> Result {
        let _ = (dev, pause);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the minimum time between two interrupts in microseconds, for `ethtool -c`; 0 if
    /// there is none. Needs [`Self::set_interrupt_interval`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn interrupt_interval(&self) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the minimum time between two interrupts, for `ethtool -C`. The setting also has to be
    /// in effect after the next open.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_interrupt_interval(&self, microseconds: u32) -> Result {
        let _ = microseconds;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns true if the minimum time between two interrupts follows the traffic, for `ethtool
    /// -c` (`adaptive-rx`). Needs [`Self::set_adaptive_interval`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn adapts_interval(&self) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Has the minimum time between two interrupts follow the traffic, or not any more, for
    /// `ethtool -C` (`adaptive-rx`). Called after [`Self::set_interrupt_interval`], if that has not
    /// brought about what the user wants. Needs [`Self::interrupt_interval`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_adaptive_interval(&self, on: bool) -> Result {
        let _ = on;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads one of the 32 registers of the PHY (IEEE 802.3, 22.2.4), for `mii-tool`.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn read_phy(&self, register: u8) -> Result<u16> {
        let _ = register;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes one of the 32 registers of the PHY, for `mii-tool`. The link settings of `ethtool`
    /// have to agree with it afterwards. Needs [`Self::read_phy`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn write_phy(&self, dev: &Device, register: u8, value: u16) -> Result {
        let _ = (dev, register, value);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the device's counts for `ip -s link`, as far as the driver knows them at the moment,
    /// see [`DeviceCounts`].
    ///
    /// Context: possibly atomic; the RTNL lock, RCU, or other locks are held. Must neither sleep
    /// nor wait for the device.
    fn counts(&self) -> DeviceCounts {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the message level, for `ethtool -s eth0 msglvl`: bits `NETIF_MSG_*` of
    /// `linux/netdevice.h`.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn messages(&self) -> &Atomic<u32> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads registers, for `ethtool -d`, and returns the version of their list.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn registers(&self, values: &mut [u32]) -> u32 {
        let _ = values;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the size of the EEPROM in bytes.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn eeprom_len(&self) -> u32 {
        0
    }

    /// Returns the number that a write to the EEPROM has to name, which shows that it is meant for
    /// this device: often the identifiers of vendor and device.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn eeprom_magic(&self) -> u32 {
        0
    }

    /// Reads bytes of the EEPROM, for `ethtool -e`. Needs [`Self::eeprom_len`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn read_eeprom(&self, offset: u32, bytes: &mut [u8]) -> Result {
        let _ = (offset, bytes);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes bytes of the EEPROM and updates its checksum, for `ethtool -E`. The caller has named
    /// [`Self::eeprom_magic`]. Needs [`Self::read_eeprom`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn write_eeprom(&self, offset: u32, bytes: &[u8]) -> Result {
        let _ = (offset, bytes);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the kinds of frames that can wake the system, and the wanted ones among them, for
    /// `ethtool`. Needs [`Self::set_wake_on`] and [`Self::arm_wake`].
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn wake_on(&self) -> (WakeOn, WakeOn) {
        (WakeOn::NONE, WakeOn::NONE)
    }

    /// Keeps the kinds of frames that are to wake the system, all of them possible ones, for
    /// `ethtool -s eth0 wol`.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn set_wake_on(&self, wanted: WakeOn) {
        let _ = wanted;
    }

    /// Lets the stopped device wait for frames that wake the system. Called before the system
    /// sleeps or is switched off, if the user wants such frames ([`Self::wake_on`]).
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn arm_wake(&self, dev: &Device) -> Result {
        let _ = dev;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Ends the wait for such frames. Called on each resume, of an armed device or not, before it
    /// is opened.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn disarm_wake(&self) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Switches the device's LED, for `ethtool -p`.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn identify(&self, lamp: Lamp) {
        let _ = lamp;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Tests the device, for `ethtool -t`. `failed` has one value for each of [`Self::SELF_TESTS`],
    /// which is 0 if the test has passed.
    ///
    /// Called with `stopped` false for the tests that do not disturb the device. If the user wants
    /// the others, too, a second call with `stopped` true follows for those alone, while the device
    /// is stopped.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn self_test(&self, dev: &Device, stopped: bool, failed: &mut [u64]) {
        let _ = (dev, stopped, failed);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Stores the values of [`Self::COUNTERS`] in their order, for `ethtool -S`. Not called if
    /// there are none.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    fn counters(&self, values: &mut [u64]) {
        let _ = values;
    }
}
