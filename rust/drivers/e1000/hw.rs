// SPDX-License-Identifier: GPL-2.0-only

//! Reset, general setup, addresses, interrupts and link of the card, and the registers of its rings.

use crate::{
    chip::{
        Chip,
        Reset, //
    },
    regs::*, //
};
use kernel::{
    io::{
        register::{
            Array,
            Register, //
        },
        Io, //
    },
    num::Bounded,
    pci,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kit::{
    net::{
        LinkSettings,
        MacAddress, //
    },
    pci::Ports, //
};

/// BAR 0, the registers in memory (4.1).
pub(crate) type Bar<'bound> = pci::Bar<'bound, END>;

/// Largest number of interrupts a second.
const INTERRUPTS_PER_SECOND: u32 = 8000;

/// Unit of ITR, in nanoseconds (13.4.18).
const ITR_UNIT: u32 = 256;

/// Value of ITR: the least time between two interrupts.
const ITR_INTERVAL: u16 = (1_000_000_000 / INTERRUPTS_PER_SECOND / ITR_UNIT) as u16;

/// Gap between two packets sent back to back, in clocks of the MAC, which adds four (13.4.34). The
/// standard has twelve. The manual's ten, for all but the 82544, are longer than needed; the driver
/// in C has eight for all of them.
const IPGT: u32 = 8;

/// First part of the gap after a received packet, in which a carrier defers the transmission: two
/// thirds of the gap (13.4.34).
const IPGR1: u32 = 8;

/// Length of the gap after a received packet, to which the MAC adds six clocks (13.4.34).
const IPGR2: u32 = 6;

/// Number of collisions after which a packet is given up (13.4.33).
const COLLISION_THRESHOLD: u32 = 0x0f;

/// Number of bytes in which a collision is detected, for full duplex at all speeds and for half
/// duplex at 10 and 100 Mbit/s (14.5).
const COLLISION_DISTANCE: u32 = 0x40;

/// Offsets of the two I/O ports: the number of a register, and its value (13.2.2).
const IOADDR: u8 = 0;
const IODATA: u8 = 4;

/// Time in which transfers that have begun end (13.4.22).
const QUIET: Delta = Delta::from_millis(10);

/// Duration of a reset: a microsecond in which registers must not be accessed (13.4.1), and the
/// read of the EEPROM, for which the driver in C waits as long (`e1000_reset_hw`).
const RESET: Delta = Delta::from_millis(5);

/// The card's registers.
pub(crate) struct Hw<'bound> {
    pub(crate) bar: Bar<'bound>,
    pub(crate) chip: &'bound Chip,
}

impl Hw<'_> {
    /// Stops interrupts and DMA, and resets the card (14.7).
    ///
    /// Receiver, transmitter and interrupts are switched off before the reset, since QEMU's card
    /// resets nothing.
    ///
    /// Context: process. Sleeps.
    pub(crate) fn reset(&self) {
        self.reset_by(None);
    }

    /// Does the same as [`Self::reset`], by the I/O ports if there are any.
    pub(crate) fn reset_by(&self, ports: Option<&Ports<'_>>) {
        let bar = &self.bar;
        bar.write_reg(IMC::from(!0));
        // QEMU's card receives nothing for a second after each write to RCTL.
        if bar.read(RCTL).into_raw() != 0 {
            bar.write_reg(RCTL::zeroed());
        }
        bar.write_reg(TCTL::zeroed());
        // Flushes posted writes, too.
        let ctrl = bar.read(CTRL);

        fsleep(QUIET);
        let ctrl = ctrl.with_rst(true);
        match (self.chip.reset, ports) {
            (Reset::Ports, Some(ports)) => {
                ports.write32(IOADDR, CTRL::OFFSET as u32);
                ports.write32(IODATA, ctrl.into_raw());
            }
            (Reset::Ports, None) => bar.write_reg(ctrl),
            (Reset::Duplicate, _) => bar.write_reg(CTRL_DUP::from(ctrl.into_raw())),
        }
        fsleep(RESET);
        bar.write_reg(IMC::from(!0));
        let _ = bar.read(ICR);
        // The reset enables wake-up by APM if the EEPROM says so (6.4.1), whatever the user wants.
        bar.write_reg(WUC::zeroed());
    }

    /// Returns true if the card answers. Reads of a card that is gone, or that is below a bridge in
    /// an error, return ones; some bits of STATUS are always 0 (13.4.2).
    pub(crate) fn is_reachable(&self) -> bool {
        self.bar.read(STATUS).into_raw() != !0
    }

    /// Does the general configuration, 14.3.
    pub(crate) fn configure(&self) {
        let bar = &self.bar;
        // The MAC follows the PHY's negotiation. VLAN tags and flow control are set later.
        bar.update(CTRL, |ctrl| {
            ctrl.with_asde(true)
                .with_slu(true)
                .with_lrst(false)
                .with_phy_rst(false)
                .with_ilos(false)
                .with_frcspd(false)
                .with_frcdplx(false)
                .with_rfce(false)
                .with_tfce(false)
                .with_vme(false)
        });
        if self.chip.keeps_order {
            bar.update(CTRL_EXT, |ctrl| ctrl.with_ro_dis(true));
        }
        bar.write_reg(FCAL::zeroed());
        bar.write_reg(FCAH::zeroed());
        bar.write_reg(FCT::zeroed());
        bar.write_reg(FCTTV::zeroed());
        if self.chip.throttles {
            bar.write_reg(ITR::zeroed().with_interval(ITR_INTERVAL));
        }

        // From the last word to the first: a bridge may combine writes to rising addresses into a
        // burst, of which the card takes every other word only (erratum 15 of Intel's specification
        // update for the 82546GB). An 82544, which loses every even word to the odd one after it, has
        // them in the right order then.
        for i in (0..128).rev() {
            self.set_multicast_word(i, 0);
        }
        for i in (0..128).rev() {
            self.set_vlan_word(i, 0);
        }
        for i in (1..16).rev() {
            self.set_address(i, None);
        }
    }

    /// Directs ARP requests to the host, or to the management controller, as after power-up. The
    /// controller answers them while the interface is down.
    pub(crate) fn take_arp(&self, host: bool) {
        if self.chip.is_managed {
            self.bar.update(MANC, |manc| manc.with_arp_en(!host));
        }
    }

    /// Has all writes so far reach the card.
    pub(crate) fn flush(&self) {
        let _ = self.bar.read(STATUS);
    }

    /// Writes a word of the multicast table, which has 128.
    pub(crate) fn set_multicast_word(&self, index: usize, bits: u32) {
        if let Some(location) = MTA::try_at(index) {
            self.bar.write(location, MTA::from(bits));
        }
    }

    /// Writes a word of the VLAN table, which has 128.
    pub(crate) fn set_vlan_word(&self, index: usize, bits: u32) {
        if let Some(location) = VFTA::try_at(index) {
            self.bar.write(location, VFTA::from(bits));
        }
    }

    /// Writes one of the 16 receive addresses, of which the first is the card's own.
    pub(crate) fn set_address(&self, index: usize, mac: Option<MacAddress>) {
        let (Some(low), Some(high)) = (RAL::try_at(index), RAH::try_at(index)) else {
            return;
        };
        // The half with the valid bit is written last to set an address, and first to clear it
        // (13.5.3).
        let Some(MacAddress(m)) = mac else {
            self.bar.write(high, RAH::zeroed());
            self.bar.write(low, RAL::zeroed());
            return;
        };
        self.bar
            .write(low, RAL::from(u32::from_le_bytes([m[0], m[1], m[2], m[3]])));
        // Keeps a bridge from combining the writes (`configure`).
        self.flush();
        self.bar.write(
            high,
            RAH::zeroed()
                .with_value(u16::from_le_bytes([m[4], m[5]]))
                .with_av(true),
        );
    }

    /// Unmasks the interrupts that the driver handles.
    pub(crate) fn unmask(&self) {
        self.bar.write_reg(
            IMS::zeroed()
                .with_rxt0(true)
                .with_rxo(true)
                .with_rxdmt0(true)
                .with_lsc(true)
                .with_txdw(true),
        );
    }

    /// Masks all interrupts.
    pub(crate) fn mask(&self) {
        self.bar.write_reg(IMC::from(!0));
    }

    /// Returns the causes of an interrupt and clears them.
    pub(crate) fn take_causes(&self) -> ICR {
        self.bar.read(ICR)
    }

    /// Raises an interrupt with the cause "link changed", so that the poll function reads the link.
    pub(crate) fn raise_link_change(&self) {
        self.bar.write_reg(ICS::zeroed().with_lsc(true));
    }

    /// Returns speed and duplex; `None` without a link.
    pub(crate) fn link(&self) -> Option<LinkSettings> {
        let status = self.bar.read(STATUS);
        status.lu().then(|| LinkSettings {
            speed: match status.speed().get() {
                0 => 10,
                1 => 100,
                _ => 1000,
            },
            full_duplex: status.fd(),
        })
    }

    /// Programs the receive ring, 14.4.
    pub(crate) fn set_rx_ring(&self, base: u64, bytes: u32, tail: usize) {
        let bar = &self.bar;
        // The upper half first (`configure`).
        bar.write_reg(RDBAH::from((base >> 32) as u32));
        bar.write_reg(RDBAL::from(base as u32));
        bar.write_reg(RDLEN::from(bytes));
        bar.write_reg(RDH::zeroed());
        bar.write_reg(RDTR::zeroed());
        if self.chip.throttles {
            bar.write_reg(RADV::zeroed());
        }
        self.set_rx_tail(tail);
    }

    /// Gives the card the receive descriptors before `tail`.
    pub(crate) fn set_rx_tail(&self, tail: usize) {
        self.bar.write_reg(RDT::zeroed().with_value(tail as u16));
    }

    /// Programs the transmit ring and starts transmitting, 14.5.
    pub(crate) fn set_tx_ring(&self, base: u64, bytes: u32) {
        let bar = &self.bar;
        // The upper half first (`configure`).
        bar.write_reg(TDBAH::from((base >> 32) as u32));
        bar.write_reg(TDBAL::from(base as u32));
        bar.write_reg(TDLEN::from(bytes));
        bar.write_reg(TDH::zeroed());
        self.set_tx_tail(0);
        // 0 is not allowed (13.4.41); no descriptor asks for the delay.
        bar.write_reg(TIDV::zeroed().with_const_value::<1>());
        if self.chip.throttles {
            bar.write_reg(TADV::zeroed());
        }
        bar.write_reg(
            TIPG::zeroed()
                .with_const_ipgt::<IPGT>()
                .with_const_ipgr1::<IPGR1>()
                .with_const_ipgr2::<IPGR2>(),
        );
        bar.write_reg(
            TCTL::zeroed()
                .with_en(true)
                .with_psp(true)
                .with_const_ct::<COLLISION_THRESHOLD>()
                .with_cold(Bounded::<u32, 10>::new::<COLLISION_DISTANCE>()),
        );
    }

    /// Returns head and tail of the transmit ring.
    pub(crate) fn tx_position(&self) -> (u32, u32) {
        let (head, tail) = (self.bar.read(TDH), self.bar.read(TDT));
        (head.value().get(), tail.value().get())
    }

    /// Returns true while the link partner requests a pause.
    pub(crate) fn is_paused(&self) -> bool {
        self.bar.read(STATUS).txoff()
    }

    /// Reads and clears a statistics register, by its index in the table.
    pub(crate) fn take_statistic(&self, index: usize) -> u32 {
        STATISTICS::try_at(index).map_or(0, |location| self.bar.read(location).into_raw())
    }

    /// Gives the card the transmit descriptors before `tail`.
    pub(crate) fn set_tx_tail(&self, tail: usize) {
        self.bar.write_reg(TDT::zeroed().with_value(tail as u16));
    }
}

/// Counter of the frames that the card dropped without a receive buffer.
pub(crate) struct Missed {
    seen: u32,
}

impl Missed {
    /// The counter before the first read of the card.
    pub(crate) const NONE: Self = Self { seen: 0 };

    /// Begins to count.
    pub(crate) fn new(hw: &Hw<'_>) -> Self {
        let _ = hw.bar.read(MPC);
        Self {
            seen: hw.bar.read(MPC).into_raw(),
        }
    }

    /// Returns the number of frames since the last call.
    ///
    /// A read clears the register (13.7) of a card, but not of QEMU's. A second read distinguishes
    /// them. A card that does not answer counts nothing.
    pub(crate) fn take(&mut self, hw: &Hw<'_>) -> u32 {
        let first = hw.bar.read(MPC).into_raw();
        let second = hw.bar.read(MPC).into_raw();
        if second == u32::MAX && !hw.is_reachable() {
            return 0;
        }
        if second < first || second < self.seen {
            self.seen = 0;
            return first.wrapping_add(second);
        }
        let new = second.wrapping_sub(self.seen);
        self.seen = second;
        new
    }
}
