// SPDX-License-Identifier: GPL-2.0-only

//! The trait that a driver implements, and what its methods take and return.

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
    statistics::DeviceCounts, //
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

/// What the network stack has to know of a device before it is registered.
pub struct Config {
    /// The hardware address.
    pub mac: MacAddress,
    /// The largest MTU that can be set.
    pub max_mtu: u32,
    /// What the device can do when it sends.
    pub offloads: Offloads,
}

/// What a device can do when it sends, besides sending.
#[derive(Clone, Copy, Default)]
pub struct Offloads {
    /// A frame may lie in several pieces of memory, and the device fills in one Internet checksum
    /// at any place ([`crate::skb::Skb::checksum`]).
    pub scatter_and_checksum: bool,
    /// The device cuts a TCP stream over IP version 4 into segments
    /// ([`crate::skb::Skb::segmentation`]). Needs the former.
    pub tcp_segmentation: bool,
    /// Likewise over IP version 6.
    pub tcp6_segmentation: bool,
}

/// What a device has from open to stop.
pub struct Rings<D: Driver + ?Sized> {
    /// Lent to [`Driver::start_xmit`].
    pub tx: D::Tx,
    /// Lent to [`Driver::poll`].
    pub napi: D::Napi,
    /// Lent to [`Driver::set_rx_mode`].
    pub filter: D::Filter,
}

/// The answer of an interrupt handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// The device did not ask: another one on the same line did.
    NotMine,
    /// All is done.
    Handled,
    /// The device's interrupts are masked, and the poll function shall run.
    Poll,
}

/// What [`Driver::watchdog`] has found.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing is wrong.
    Good,
    /// Frames are on the ring that the device will not send: it is stopped and opened again, which
    /// gives them back.
    Stalled,
}

/// Speed and duplex of a link that is up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// In Mbit/s.
    pub speed: u32,
    /// Both ways at once.
    pub full_duplex: bool,
}

/// A driver for one network device; the type holds what the device has from probe to remove.
///
/// It is pinned inside the network device's own memory, and dropped when the network stack has
/// let go of the device and no callback can run any more. The fields of the type are dropped in
/// the order of their declaration: that is the order of teardown.
///
/// # Contexts
///
/// The kernel calls from these contexts, with these locks held. "Soft" means that soft interrupts
/// are off, and so preemption. `start_xmit` and `poll` run with all interrupts off when netpoll
/// (netconsole) calls them; the budget of such a poll is 0, so it only takes back what was sent.
///
/// | callback | locks | may sleep | interrupts |
/// |---|---|---|---|
/// | [`config`], drop | none | yes | on |
/// | [`open`], [`start`], [`stop`], [`set_mac`] | RTNL | yes | on |
/// | [`fix_features`], [`set_features`] | RTNL | yes | on |
/// | [`set_rx_mode`] | the address list's | no | on, soft off |
/// | [`start_xmit`] | the transmit queue's | no | on, soft off; netpoll: off |
/// | [`features_check`] | none, or the transmit queue's | no | on, soft off; netpoll: off |
/// | [`poll`], [`unmask`] | none, NAPI | no | on, soft off; netpoll: off |
/// | [`watchdog`] and what `ethtool` or `mii-tool` asks | RTNL | yes | on |
/// | [`counts`] | RTNL, RCU, or others' | no | on |
/// | [`interrupt`] | none | no | off; on where handlers are threads (`PREEMPT_RT`) |
///
/// What several of them share without being lent it as `&mut` stands under a lock that fits all of
/// these contexts ([`crate::lock`] has the table), or is an [`Atomic`](kernel::sync::atomic::Atomic).
///
/// An operation that has a default and is not implemented is one that the device does not have:
/// `ethtool` says so.
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
    /// Lent to [`Self::start_xmit`].
    type Tx: Send;
    /// Lent to [`Self::poll`].
    type Napi: Send;
    /// Lent to [`Self::set_rx_mode`]. `()` will do for a device that cannot filter.
    type Filter: Send;

    /// The names of the device's own counters, as `ethtool -S` shows them.
    const COUNTERS: &'static [&'static str] = &[];

    /// Whether [`Self::set_rx_mode`] looks at [`RxMode::unicast`]. Otherwise the stack has the device
    /// receive all frames where it wants more addresses than the device's own.
    const UNICAST_FILTER: bool = false;

    /// The address of the device's PHY on the bus between the two (IEEE 802.3, 22.2.4.5.5), for
    /// [`Self::read_phy`].
    const PHY_ADDRESS: u8 = 1;

    /// What the device does for the stack, besides what [`Config::offloads`] says.
    const FEATURES: FeatureSet = FeatureSet::NONE;

    /// How many values [`Self::registers`] gives.
    const REGISTERS: usize = 0;

    /// The names of the tests of [`Self::self_test`].
    const SELF_TESTS: &'static [&'static str] = &[];

    /// How often [`Self::watchdog`] is called, in milliseconds.
    const WATCHDOG_MS: u32 = 2000;

    /// What the network stack has to know. Called once, before the device is registered.
    fn config(&self) -> Config;

    /// Makes the device ready to run, with its interrupts still masked. After a suspend it may have
    /// lost all its registers.
    fn open(&self, dev: &Device) -> Result<Rings<Self>>;

    /// Lets the interrupts through: all that they may wake is in place.
    fn start(&self, dev: &Device);

    /// Silences the device, then gives the rings back. Also before a suspend, and when the system is
    /// shut down.
    ///
    /// Nothing else can touch the rings any more. The interrupt handler may still run.
    fn stop(&self, dev: &Device, rings: Rings<Self>);

    /// Sends one frame.
    fn start_xmit<'a>(&self, tx: &mut Self::Tx, queue: &TxQueue<'a>, skb: TxSkb<'a>)
        -> Verdict<'a>;

    /// Finds out whether the device asks for something. Runs from open to stop.
    fn interrupt(&self) -> Interrupt;

    /// Receives frames, and takes back those that were sent.
    fn poll(&self, napi: &mut Self::Napi, poll: &mut Poll<'_>);

    /// Lets the interrupts through again after a poll that found nothing more to do.
    fn unmask(&self);

    /// Programs the receive filters, and the length of frames by [`Device::mtu`]. Called once in
    /// open, before [`Self::start`], and then whenever something changes.
    fn set_rx_mode(&self, filter: &mut Self::Filter, mode: &RxMode<'_>);

    /// Leaves out of the features that the user wants, or adds to them, so that what is left goes
    /// together. The core asks again before it switches anything, and when it registers the device.
    fn fix_features(&self, wanted: Features) -> Features {
        let _ = wanted;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Switches features. It is to hold after the next open, too, which finds them in
    /// [`Device::features`]. Whether it succeeds or is absent, [`Self::set_rx_mode`] follows, if the
    /// device is open, with the new ones in [`RxMode::features`].
    fn set_features(&self, dev: &Device, features: Features) -> Result {
        let _ = (dev, features);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Says which of the features the device has for this very frame; the stack does without the
    /// others. Without [`Features::SCATTER`] it lays the frame into one piece of memory, without
    /// [`Features::TCP_SEGMENTATION`] it cuts it.
    ///
    /// Called for each frame: better not there than one that says yes.
    fn features_check(&self, skb: &Skb, features: Features) -> Features {
        let _ = (skb, features);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The hardware address has changed to `mac`. It must be valid after the next open, too.
    fn set_mac(&self, mac: MacAddress);

    /// Looks after a device that is open, again and again: changes of the link that no interrupt has
    /// told, counters that would overflow, a transmitter that hangs.
    fn watchdog(&self, dev: &Device) -> Health {
        let _ = dev;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Speed and duplex, for `ethtool`; `None` without a link.
    fn link(&self) -> Option<LinkSettings> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The sizes of the receive and the transmit ring, for `ethtool -g`.
    fn ring_sizes(&self) -> (u32, u32) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The largest sizes that the receive and the transmit ring can have. Needed by
    /// [`Self::make_rings`].
    fn max_ring_sizes(&self) -> (u32, u32) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Of the sizes that a receive and a transmit ring can have those next to the wanted ones, which
    /// are not above [`Self::max_ring_sizes`]. Needed by [`Self::make_rings`].
    fn fit_ring_sizes(&self, wanted: (u32, u32)) -> (u32, u32) {
        let _ = wanted;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Keeps the sizes that the rings have from now on, those that the next [`Self::open`] makes, too.
    /// Needed by [`Self::make_rings`].
    fn set_ring_sizes(&self, sizes: (u32, u32)) {
        let _ = sizes;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Allocates rings for `ethtool -G`, while the device works on those that it has: it must not be
    /// touched. If this fails, nothing has changed.
    fn make_rings(&self, sizes: (u32, u32)) -> Result<Rings<Self>> {
        let _ = sizes;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Like [`Self::open`], with rings that were allocated before. Needed by [`Self::make_rings`].
    fn open_with(&self, dev: &Device, rings: Rings<Self>) -> Result<Rings<Self>> {
        let _ = (dev, rings);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// How the link comes about, and which modes the device can do, for `ethtool`. Needs
    /// [`Self::link`].
    fn link_request(&self) -> (LinkRequest, LinkModes) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Has the link come about in another way, for `ethtool -s`: one of the supported modes, or some.
    /// It is to hold after the next open, too. Needs [`Self::link_request`].
    fn set_link_request(&self, dev: &Device, request: LinkRequest) -> Result {
        let _ = (dev, request);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Negotiates with the other end once more, for `ethtool -r`. The interface is up.
    fn negotiate_again(&self) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// What pause frames are for, for `ethtool -a`. Needs [`Self::set_pause`].
    fn pause(&self) -> Pause {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets what pause frames are for. It is to hold after the next open, too.
    fn set_pause(&self, dev: &Device, pause: Pause) -> Result {
        let _ = (dev, pause);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The least time between two interrupts in microseconds, for `ethtool -c`; 0 for none. Needs
    /// [`Self::set_interrupt_interval`].
    fn interrupt_interval(&self) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the least time between two interrupts. It is to hold after the next open, too.
    fn set_interrupt_interval(&self, microseconds: u32) -> Result {
        let _ = microseconds;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads one of the 32 registers of the PHY (IEEE 802.3, 22.2.4), for `mii-tool`.
    fn read_phy(&self, register: u8) -> Result<u16> {
        let _ = register;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes one of them. What `ethtool` shows of the link is to agree with it afterwards. Needs
    /// [`Self::read_phy`].
    fn write_phy(&self, dev: &Device, register: u8, value: u16) -> Result {
        let _ = (dev, register, value);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Counts of the device for `ip -s link`, as far as the driver knows them now. What the kit counts
    /// is not to be among them. Must not sleep, nor wait for the device.
    fn counts(&self) -> DeviceCounts {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Which messages are wanted, for `ethtool -s eth0 msglvl`: bits `NETIF_MSG_*` of
    /// `linux/netdevice.h`.
    fn messages(&self) -> &Atomic<u32> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads registers, for `ethtool -d`, and returns the version of their list.
    fn registers(&self, values: &mut [u32]) -> u32 {
        let _ = values;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The bytes of the EEPROM.
    fn eeprom_len(&self) -> u32 {
        0
    }

    /// What the EEPROM is written with to show that its device is meant: often vendor and device.
    fn eeprom_magic(&self) -> u32 {
        0
    }

    /// Reads bytes of the EEPROM, for `ethtool -e`. Needs [`Self::eeprom_len`].
    fn read_eeprom(&self, offset: u32, bytes: &mut [u8]) -> Result {
        let _ = (offset, bytes);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes bytes of the EEPROM, and the checksum that it has, for `ethtool -E`. The caller has told
    /// [`Self::eeprom_magic`]. Needs [`Self::read_eeprom`].
    fn write_eeprom(&self, offset: u32, bytes: &[u8]) -> Result {
        let _ = (offset, bytes);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Has the device's lamp shine, for `ethtool -p`.
    fn identify(&self, lamp: Lamp) {
        let _ = lamp;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Tests the device, for `ethtool -t`. `failed` has a place for each of [`Self::SELF_TESTS`], zero
    /// for passed.
    ///
    /// Called for the tests that do not disturb it; if the user wants the others as well, then once
    /// more with `stopped`, for those alone, while the device is stopped.
    fn self_test(&self, dev: &Device, stopped: bool, failed: &mut [u64]) {
        let _ = (dev, stopped, failed);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The values of [`Self::COUNTERS`], in their order, for `ethtool -S`. Not called where there are
    /// none.
    fn counters(&self, values: &mut [u64]) {
        let _ = values;
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(kit_mac_address)]
mod tests {
    use super::*;

    #[test]
    fn stations_have_valid_addresses() {
        assert!(MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]).is_valid());
        assert!(!MacAddress::NONE.is_valid());
        assert!(!MacAddress([0xff; 6]).is_valid());
        assert!(!MacAddress([1, 0, 0x5e, 0, 0, 1]).is_valid());
    }

    #[test]
    fn a_random_address_is_local_and_of_one_station() {
        for _ in 0..100 {
            let mac = MacAddress::random();
            assert!(mac.is_valid());
            assert_eq!(mac.0[0] & 3, 2);
        }
    }
}
