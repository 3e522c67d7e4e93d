// SPDX-License-Identifier: GPL-2.0-only
// YOURS (survive lab): seven bugs lie in nic.rs, rx.rs and tx.rs. main.rs is here as it calls them.

//! The network device: operations of the stack, passed on to the parts of the card.

use crate::{
    chip,
    desc,
    dump,
    features,
    filter::Filter,
    hw::{
        Hw,
        Missed, //
    },
    itr::Pace,
    microwire,
    module_parameters,
    phy,
    rx::RxRing,
    selftest,
    setup::{
        Setup,
        SUPPORTED, //
    },
    statistics::{
        self,
        Statistics, //
    },
    tx::{
        self,
        TxCleaner,
        TxRing, //
    },
    wake::{
        self,
        Wake, //
    },
    watchdog::Watchdog, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    num::Bounded,
    pci,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_spinlock,
        SpinLock, //
    }, //
};
use kit::{
    net::{
        self,
        Config,
        DeviceCounts,
        FeatureSet,
        Features,
        Health,
        Interrupt,
        Lamp,
        LinkModes,
        LinkRequest,
        LinkSettings,
        MacAddress,
        Offloads,
        Pause,
        Poll,
        Rings,
        RxMode,
        TxQueue,
        WakeOn, //
    },
    netdev_err,
    netdev_info,
    param,
    pci::Ports,
    skb::{
        Skb,
        TxSkb,
        Verdict, //
    }, //
};

/// State of a card from probe to remove.
// The order of the fields is the order of teardown.
pub(crate) struct Nic<'bound> {
    hw: Hw<'bound>,
    dev: &'bound Device<Bound>,
    /// I/O ports, if the system has assigned them.
    ports: Option<Ports<'bound>>,
    statistics: Statistics,
    watchdog: Watchdog,
    setup: Setup,
    wake: Wake,
    /// Wanted kinds of messages, bits `NETIF_MSG_*`.
    messages: Atomic<u32>,
    /// Value of the LED's register before `ethtool -p`.
    lamp: Atomic<u32>,
    mac: MacAddress,
    /// True from the interrupt for a change of the link until the poll function handles it.
    link_changed: Atomic<bool>,
    /// True from the interrupt for dropped frames until the poll function handles it.
    overrun: Atomic<bool>,
    /// The link as the poll function saw it last: to ask the card takes long.
    settings: Pin<KBox<SpinLock<Option<LinkSettings>>>>,
    counters: Counters,
}

/// Counters of the driver, for `ethtool -S`.
#[derive(Default)]
struct Counters {
    interrupts: Counter,
    polls: Counter,
    tx_wakes: Counter,
    link_changes: Counter,
}

struct Counter(Atomic<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl Counter {
    fn count(&self) {
        self.0.add(1, Relaxed);
    }
}

/// Largest MTU. The longest frame, with header and FCS, has 16,128 bytes, for which the transmit FIFO
/// has room (3.3.3, and `Hw::divide_fifo`); other drivers of the family have the same limit.
const MAX_MTU: u32 = 16_128 - net::ETH_HEADER_LEN - net::ETH_FCS_LEN;

/// Names of the driver's own counters.
const OWN: [&str; 4] = ["interrupts", "polls", "tx_wakes", "link_changes"];

/// Names of all counters: the driver's own, then the card's.
const NAMES: [&str; OWN.len() + statistics::COUNT] = {
    let mut names = [""; OWN.len() + statistics::COUNT];
    let mut i = 0;
    while i < names.len() {
        names[i] = if i < OWN.len() {
            OWN[i]
        } else {
            statistics::name(i - OWN.len())
        };
        i += 1;
    }
    names
};

/// Default kinds of messages: `NETIF_MSG_DRV`, `NETIF_MSG_PROBE` and `NETIF_MSG_LINK`.
const MESSAGES: u32 = 7;

/// `NETIF_MSG_LINK`.
const MESSAGES_LINK: u32 = 4;

/// State that the poll function works on.
pub(crate) struct Work<'bound> {
    rx: RxRing<'bound>,
    tx: TxCleaner<'bound>,
    missed: Missed,
    pace: Pace,
}

impl<'bound> Nic<'bound> {
    pub(crate) fn new(hw: Hw<'bound>, dev: &'bound Device<Bound>, mac: MacAddress) -> Result<Self> {
        Ok(Self {
            wake: Wake::of_eeprom(&hw),
            hw,
            dev,
            ports: Ports::new(dev, c"r4l_e1000").ok(),
            statistics: Statistics::new(),
            watchdog: Watchdog::new(),
            setup: Setup::new(),
            messages: Atomic::new(match param::value(&module_parameters::debug) {
                kinds @ 0..=16 => (1 << kinds) - 1,
                _ => MESSAGES,
            }),
            lamp: Atomic::new(0),
            mac,
            link_changed: Atomic::new(false),
            overrun: Atomic::new(false),
            settings: KBox::pin_init(new_spinlock!(None), GFP_KERNEL)?,
            counters: Counters::default(),
        })
    }

    /// Returns true if the card answers.
    pub(crate) fn is_reachable(&self) -> bool {
        self.hw.is_reachable()
    }

    fn update_link(&self, dev: &net::Device) {
        let link = self.hw.link();
        *self.settings.lock() = link;
        if link.is_some() == dev.carrier() {
            return;
        }
        match link {
            _ if self.messages.load(Relaxed) & MESSAGES_LINK == 0 => (),
            Some(link) => netdev_info!(
                dev,
                "link up, {} Mbit/s, {} duplex\n",
                link.speed,
                if link.full_duplex { "full" } else { "half" }
            ),
            None => netdev_info!(dev, "link down\n"),
        }
        dev.set_carrier(link.is_some());
        self.counters.link_changes.count();
    }
}

impl Drop for Nic<'_> {
    fn drop(&mut self) {
        dev_info!(self.dev, "device_remove\n");
    }
}

#[vtable]
impl<'bound> net::Driver for Nic<'bound> {
    type Tx = TxRing<'bound>;
    type Napi = Work<'bound>;
    type Filter = Filter;

    const COUNTERS: &'static [&'static str] = &NAMES;
    const UNICAST_FILTER: bool = true;
    const FEATURES: FeatureSet = features::SET;
    const REGISTERS: usize = dump::REGISTERS;
    const SELF_TESTS: &'static [&'static str] = &selftest::NAMES;

    fn config(&self) -> Config {
        let offloads = Offloads {
            scatter_and_checksum: true,
            tcp_segmentation: true,
            // QEMU's card writes a wrong length into IPv6 headers.
            tcp6_segmentation: false,
        };
        Config {
            mac: self.mac,
            max_mtu: MAX_MTU,
            // Frames in many pieces would need more descriptors than `tx` keeps free.
            offloads: if self.hw.avoids_first_halves() {
                Offloads::default()
            } else {
                offloads
            },
        }
    }

    fn open(&self, dev: &net::Device) -> Result<Rings<Self>> {
        let rings = self.make_rings(self.setup.ring_sizes())?;
        self.open_with(dev, rings)
    }

    fn make_rings(&self, (rx, tx): (u32, u32)) -> Result<Rings<Self>> {
        let rx = RxRing::new(self.dev, rx as usize)?;
        let (tx, cleaner) = tx::ring(self.dev, tx as usize)?;
        Ok(Rings {
            tx,
            napi: Work {
                rx,
                tx: cleaner,
                missed: Missed::NONE,
                pace: Pace::new(),
            },
            filter: Filter::new(),
        })
    }

    fn open_with(&self, dev: &net::Device, mut rings: Rings<Self>) -> Result<Rings<Self>> {
        netdev_info!(dev, "open\n");
        if self.hw.chip.reads_too_much && self.hw.is_on_pcix() {
            kit::pci::limit_pcix_reads(self.dev, chip::MOST_READ)?;
        }
        self.hw.divide_fifo();
        self.hw.reset_by(self.ports.as_ref());
        phy::power_up(&self.hw)?;
        self.hw.configure();
        self.setup.apply(&self.hw)?;
        // Nothing fails from here on: without a driver, ARP requests are the controller's.
        self.hw.take_arp(true);
        self.hw.set_address(0, Some(dev.mac()));
        features::apply(&self.hw, dev.features());
        rings.napi.rx.give(&self.hw);
        rings.tx.give(&self.hw);
        rings.napi.missed = Missed::new(&self.hw);
        Ok(rings)
    }

    fn start(&self, _dev: &net::Device) {
        self.hw.unmask();
        // The link may be up already, without an interrupt to come.
        self.hw.raise_link_change();
    }

    fn stop(&self, dev: &net::Device, rings: Rings<Self>) {
        let is_reachable = self.hw.is_reachable();
        // The reset clears the registers.
        self.statistics.take(&self.hw);
        self.hw.reset_by(self.ports.as_ref());
        // The interrupt handler may still run. Not here, while the memory goes.
        let quiet = kernel::interrupt::local_interrupt_disable();
        drop(rings);
        drop(quiet);
        self.hw.take_arp(false);
        if is_reachable && phy::power_down(&self.hw).is_err() {
            netdev_err!(dev, "the PHY does not answer\n");
        }
        netdev_info!(dev, "stop\n");
    }

    fn start_xmit<'a>(
        &self,
        tx: &mut Self::Tx,
        queue: &TxQueue<'a>,
        skb: TxSkb<'a>,
    ) -> Verdict<'a> {
        tx.xmit(&self.hw, queue, skb)
    }

    fn features_check(&self, skb: &Skb, features: Features) -> Features {
        tx::possible(skb, features)
    }

    fn interrupt(&self) -> Interrupt {
        let causes = self.hw.take_causes();
        if causes.into_raw() == 0 {
            return Interrupt::NotMine;
        }
        self.hw.mask();
        self.counters.interrupts.count();
        if causes.lsc() {
            self.link_changed.store(true, Relaxed);
        }
        if causes.rxo() {
            self.overrun.store(true, Relaxed);
        }
        Interrupt::Poll
    }

    fn poll(&self, work: &mut Self::Napi, poll: &mut Poll<'_>) {
        if self.link_changed.xchg(false, Relaxed) {
            self.setup.link_changed();
            self.update_link(poll.device());
        }
        if self.overrun.xchg(false, Relaxed) {
            poll.device().count_missed(work.missed.take(&self.hw));
        }
        self.counters.polls.count();
        let (sent, woken) = work.tx.clean(poll);
        if woken {
            self.counters.tx_wakes.count();
        }
        let received = work.rx.receive(&self.hw, poll);
        if self.setup.is_dynamic() {
            if let Some(level) = work.pace.count(received + sent as usize) {
                self.setup.set_level(&self.hw, level);
            }
        }
    }

    fn unmask(&self) {
        self.hw.unmask();
    }

    fn set_rx_mode(&self, filter: &mut Self::Filter, mode: &RxMode<'_>) {
        filter.apply(&self.hw, mode);
    }

    fn fix_features(&self, wanted: Features) -> Features {
        features::fix(wanted)
    }

    fn set_features(&self, dev: &net::Device, features: Features) -> Result {
        if dev.is_up() {
            features::apply(&self.hw, features);
        }
        Ok(())
    }

    fn set_mac(&self, mac: MacAddress) {
        self.hw.set_address(0, Some(mac));
    }

    fn watchdog(&self, dev: &net::Device) -> Health {
        if self.hw.link().is_some() != dev.carrier() {
            // The interrupt was lost. The poll function reads the link.
            self.hw.raise_link_change();
        }
        if self.setup.resolve_pause(&self.hw, dev.carrier()).is_err() {
            netdev_err!(dev, "the PHY does not answer\n");
        }
        self.setup.keep_interval(&self.hw);
        self.statistics.take(&self.hw);
        self.watchdog.look(&self.hw, &self.statistics, dev)
    }

    fn link(&self) -> Option<LinkSettings> {
        *self.settings.lock()
    }

    fn ring_sizes(&self) -> (u32, u32) {
        self.setup.ring_sizes()
    }

    fn max_ring_sizes(&self) -> (u32, u32) {
        (desc::MAX, desc::MAX)
    }

    fn fit_ring_sizes(&self, (rx, tx): (u32, u32)) -> (u32, u32) {
        (desc::fit(rx), desc::fit(tx))
    }

    fn set_ring_sizes(&self, sizes: (u32, u32)) {
        self.setup.set_ring_sizes(sizes);
    }

    fn counters(&self, values: &mut [u64]) {
        let c = &self.counters;
        let own = [&c.interrupts, &c.polls, &c.tx_wakes, &c.link_changes];
        for (value, counter) in values.iter_mut().zip(own) {
            *value = counter.0.load(Relaxed);
        }
        self.statistics.take(&self.hw);
        for (value, sum) in values
            .iter_mut()
            .skip(OWN.len())
            .zip(self.statistics.sums())
        {
            *value = sum;
        }
    }

    fn link_request(&self) -> (LinkRequest, LinkModes) {
        (self.setup.request(), SUPPORTED)
    }

    fn set_link_request(&self, dev: &net::Device, request: LinkRequest) -> Result {
        self.setup.set_request(&self.hw, dev.is_up(), request)
    }

    fn negotiate_again(&self) -> Result {
        self.setup.negotiate(&self.hw)
    }

    fn pause(&self) -> Pause {
        self.setup.pause()
    }

    fn set_pause(&self, dev: &net::Device, pause: Pause) -> Result {
        self.setup.set_pause(&self.hw, dev.is_up(), pause)
    }

    fn interrupt_interval(&self) -> u32 {
        if !self.hw.chip.throttles {
            return 0;
        }
        self.setup.interval()
    }

    fn set_interrupt_interval(&self, microseconds: u32) -> Result {
        self.setup.set_interval(&self.hw, microseconds)
    }

    fn adapts_interval(&self) -> bool {
        self.hw.chip.throttles && self.setup.is_dynamic()
    }

    fn set_adaptive_interval(&self, on: bool) -> Result {
        self.setup.set_dynamic(&self.hw, on)
    }

    fn read_phy(&self, register: u8) -> Result<u16> {
        let register = Bounded::try_new(register.into()).ok_or(EINVAL)?;
        phy::read(&self.hw, register)
    }

    fn write_phy(&self, _dev: &net::Device, register: u8, value: u16) -> Result {
        let register = Bounded::try_new(register.into()).ok_or(EINVAL)?;
        if let Some(request) = phy::write_for_user(&self.hw, register, value)? {
            self.setup.note_request(request);
        }
        Ok(())
    }

    fn counts(&self) -> DeviceCounts {
        self.statistics.counts()
    }

    fn messages(&self) -> &Atomic<u32> {
        &self.messages
    }

    fn registers(&self, values: &mut [u32]) -> u32 {
        dump::registers(&self.hw, values);
        dump::VERSION
    }

    fn eeprom_len(&self) -> u32 {
        microwire::bytes(&self.hw)
    }

    fn eeprom_magic(&self) -> u32 {
        self.hw.chip.device << 16 | u32::from(pci::Vendor::INTEL.as_raw())
    }

    fn read_eeprom(&self, offset: u32, bytes: &mut [u8]) -> Result {
        dump::eeprom(&self.hw, offset, bytes)
    }

    fn write_eeprom(&self, offset: u32, bytes: &[u8]) -> Result {
        microwire::write(&self.hw, offset, bytes)
    }

    fn wake_on(&self) -> (WakeOn, WakeOn) {
        self.wake.kinds()
    }

    fn set_wake_on(&self, wanted: WakeOn) {
        self.wake.want(wanted);
    }

    fn arm_wake(&self, dev: &net::Device) -> Result {
        wake::arm(&self.hw, dev.mac(), self.wake_on().1)
    }

    fn disarm_wake(&self) {
        wake::disarm(&self.hw);
    }

    fn identify(&self, lamp: Lamp) {
        let former = dump::lamp(&self.hw, lamp, self.lamp.load(Relaxed));
        self.lamp.store(former, Relaxed);
    }

    fn self_test(&self, _dev: &net::Device, stopped: bool, failed: &mut [u64]) {
        let [tests @ .., link] = failed else {
            return;
        };
        if !stopped {
            *link = selftest::link(&self.hw).is_err().into();
            return;
        }
        for (failed, result) in tests.iter_mut().zip(selftest::offline(&self.hw, self.dev)) {
            *failed = result.is_err().into();
        }
    }
}
