// SPDX-License-Identifier: GPL-2.0-only

//! The network device: operations of the stack, passed on to the parts of the card.

use crate::{
    desc::COUNT,
    filter::Filter,
    hw::{
        Hw,
        Missed, //
    },
    phy,
    rx::RxRing,
    statistics::Statistics,
    tx::{
        self,
        TxCleaner,
        TxRing, //
    },
    watchdog::Watchdog, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};
use kit::{
    net::{
        self,
        Config,
        Health,
        Interrupt,
        LinkSettings,
        MacAddress,
        Offloads,
        Poll,
        Rings,
        RxMode,
        TxQueue, //
    },
    netdev_err,
    netdev_info,
    skb::{
        TxSkb,
        Verdict, //
    }, //
};

/// State of a card from probe to remove.
// The order of the fields is the order of teardown.
pub(crate) struct Nic<'bound> {
    hw: Hw<'bound>,
    dev: &'bound Device<Bound>,
    statistics: Statistics,
    watchdog: Watchdog,
    mac: MacAddress,
    /// True from the interrupt for a change of the link until the poll function handles it.
    link_changed: Atomic<bool>,
    /// True from the interrupt for dropped frames until the poll function handles it.
    overrun: Atomic<bool>,
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

/// State that the poll function works on.
pub(crate) struct Work<'bound> {
    rx: RxRing<'bound>,
    tx: TxCleaner<'bound>,
    missed: Missed,
}

impl<'bound> Nic<'bound> {
    pub(crate) fn new(hw: Hw<'bound>, dev: &'bound Device<Bound>, mac: MacAddress) -> Self {
        Self {
            hw,
            dev,
            statistics: Statistics::new(),
            watchdog: Watchdog::new(),
            mac,
            link_changed: Atomic::new(false),
            overrun: Atomic::new(false),
            counters: Counters::default(),
        }
    }

    fn update_link(&self, dev: &net::Device) {
        let link = self.hw.link();
        if link.is_some() == dev.carrier() {
            return;
        }
        match link {
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

    const COUNTERS: &'static [&'static str] = &["interrupts", "polls", "tx_wakes", "link_changes"];

    fn config(&self) -> Config {
        Config {
            mac: self.mac,
            max_mtu: net::ETH_MTU,
            offloads: Offloads {
                scatter_and_checksum: true,
                tcp_segmentation: true,
                // QEMU's card writes a wrong length into IPv6 headers.
                tcp6_segmentation: false,
            },
        }
    }

    fn open(&self, dev: &net::Device) -> Result<Rings<Self>> {
        netdev_info!(dev, "open\n");
        self.hw.reset();
        phy::set_power(&self.hw, true)?;
        self.hw.configure();
        self.hw.take_arp(true);
        self.hw.set_address(0, Some(dev.mac()));
        let rx = RxRing::new(self.dev, &self.hw)?;
        let (tx, cleaner) = tx::ring(self.dev, &self.hw)?;
        Ok(Rings {
            tx,
            napi: Work {
                rx,
                tx: cleaner,
                missed: Missed::new(&self.hw),
            },
            filter: Filter::new(),
        })
    }

    fn start(&self, _dev: &net::Device) {
        self.hw.unmask();
        // The link may be up already, without an interrupt to come.
        self.hw.raise_link_change();
    }

    fn stop(&self, dev: &net::Device, rings: Rings<Self>) {
        // YOURS (remove): silence the card, then give the rings' memory back. Until then it is
        // leaked, since the card may still write to it.
        core::mem::forget(rings);
        self.hw.take_arp(false);
        if phy::set_power(&self.hw, false).is_err() {
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

    fn interrupt(&self) -> Interrupt {
        // YOURS (irq): take the causes. With none, another device has asked: `NotMine`. Else mask
        // the card's interrupts, note LSC in `link_changed` and RXO in `overrun`, and have the poll
        // function run.
        Interrupt::NotMine
    }

    fn poll(&self, work: &mut Self::Napi, poll: &mut Poll<'_>) {
        if self.link_changed.xchg(false, Relaxed) {
            self.update_link(poll.device());
        }
        if self.overrun.xchg(false, Relaxed) {
            poll.device().count_missed(work.missed.take(&self.hw));
        }
        self.counters.polls.count();
        if work.tx.clean(poll) {
            self.counters.tx_wakes.count();
        }
        work.rx.receive(&self.hw, poll);
    }

    fn unmask(&self) {
        self.hw.unmask();
    }

    fn set_rx_mode(&self, filter: &mut Self::Filter, mode: &RxMode<'_>) {
        filter.apply(&self.hw, mode);
    }

    fn set_mac(&self, mac: MacAddress) {
        self.hw.set_address(0, Some(mac));
    }

    fn watchdog(&self, dev: &net::Device) -> Health {
        if self.hw.link().is_some() != dev.carrier() {
            // The interrupt was lost. The poll function reads the link.
            self.hw.raise_link_change();
        }
        self.statistics.take(&self.hw);
        self.watchdog.look(&self.hw, &self.statistics, dev)
    }

    fn link(&self) -> Option<LinkSettings> {
        self.hw.link()
    }

    fn ring_sizes(&self) -> (u32, u32) {
        (COUNT as u32, COUNT as u32)
    }

    fn counters(&self, values: &mut [u64]) {
        let c = &self.counters;
        for (value, counter) in
            values
                .iter_mut()
                .zip([&c.interrupts, &c.polls, &c.tx_wakes, &c.link_changes])
        {
            *value = counter.0.load(Relaxed);
        }
    }
}
