// SPDX-License-Identifier: GPL-2.0-only

//! Differences between the controllers (5.2, and the remarks at the registers in 13.4).
//!
//! Left out are cards that need more than a row here: those for fibre and for SerDes, whose link is
//! negotiated by the MAC (8.6.1); the 82541 and 82547, with another PHY, another layout of EERD,
//! and EEPROMs with the bus SPI; and the older 82542 and 82543.

use crate::{
    hw::Hw,
    regs::STATUS, //
};
use kernel::{
    io::Io,
    pci, //
};

/// A controller of the family, on a board.
pub(crate) struct Chip {
    pub(crate) name: &'static str,
    /// PCI device ID, unless the EEPROM has another one.
    pub(crate) device: u32,
    pub(crate) eeprom: Eeprom,
    pub(crate) reset: Reset,
    /// True if there are ITR (13.4.18), RADV (13.4.31) and TADV (13.4.44).
    pub(crate) throttles: bool,
    /// True if there is LEDCTL (13.4.15). Otherwise a LED is at the software definable pin 0
    /// (13.4.1); the driver in C has it so.
    pub(crate) has_led_control: bool,
    /// True if a management controller can receive the ARP requests (5.6.24).
    pub(crate) is_managed: bool,
    /// True if CTRL has the bits ADVD3WUC and EN_PHY_PWR_MGMT (13.4.1).
    pub(crate) keeps_phy_awake: bool,
    /// True if the board can wake the system. The list is that of the driver in C
    /// (`e1000_wol_exclusion`).
    pub(crate) wakes: bool,
    /// Bit of the EEPROM that enables wake-up by APM, for each port.
    pub(crate) apm: [EepromBit; 2],
    /// True if transfers must not overtake each other on PCI-X. Otherwise the bus of boards with four
    /// ports reports parity errors, says the driver in C (`e1000_init_hw`).
    pub(crate) keeps_order: bool,
    /// True if the card reads as much at once as the system tells it on PCI-X, though it can store
    /// [`MOST_READ`] bytes only (erratum 18 of Intel's specification update for the 82545EM). The
    /// driver in C limits it for all but the controllers whose names end with GM and GB
    /// (`e1000_init_hw`).
    pub(crate) reads_too_much: bool,
    /// Bits of the PHY that are to be set in its register 16 (13.4.7.1.13).
    pub(crate) phy_control: u16,
    /// True if a large send needs data in the same descriptor as its headers; and if, on PCI-X, the
    /// memory of a descriptor must not end in the first half of eight bytes. The driver in C has both
    /// (`e1000_xmit_frame`, `e1000_tx_map`).
    pub(crate) is_choosy: bool,
    /// True if a write of an odd word of MTA (13.5.1) or VFTA (13.5.4) overwrites the even word before
    /// it, which is to be written after it, says the driver in C (`e1000_write_vfta`).
    pub(crate) overwrites_even_words: bool,
}

/// Number of bytes that a card can read at once (4.1.1.4).
pub(crate) const MOST_READ: u16 = 2048;

/// The EEPROM, and the ways to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eeprom {
    /// 64 words (5.3), read by its pins: there is no EERD (13.4.4).
    Pins,
    /// 64 or 256 words, as EECD says; read by EERD. Its pins have to be requested before use
    /// (13.4.3).
    Shared,
}

/// The way to reset the card, as the driver in C has it (`e1000_reset_hw`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// By the I/O ports: the card may not acknowledge a memory write that resets it (erratum 19 of
    /// Intel's specification update for the 82545EM).
    Ports,
    /// By the second address of CTRL.
    Duplicate,
}

/// A bit of the EEPROM.
pub(crate) struct EepromBit {
    pub(crate) word: u8,
    pub(crate) bit: u16,
}

/// Initialization Control 2, of controllers that have the bit there (5.6.12, 6.4.1).
const APM_2: EepromBit = EepromBit {
    word: 0x0f,
    bit: 1 << 2,
};

/// Initialization Control 3, the high bytes of words of the first port and of the second (5.6.26).
const APM_3: EepromBit = EepromBit {
    word: 0x24,
    bit: 1 << 10,
};
const APM_3_SECOND: EepromBit = EepromBit {
    word: 0x14,
    bit: 1 << 10,
};

/// Bit of the PHY's register 16: carrier sense while it sends, which half duplex needs (13.4.7.1.13).
const PHY_CONTROL: u16 = 1 << 11;

/// Bit that the driver in C sets for the controllers whose names end with GM and GB
/// (`e1000_copper_link_preconfig`): the PHY's side of its connection to the MAC keeps its power
/// (13.4.7.1.13).
const PHY_CONTROL_G: u16 = 1 << 3;

/// 82544EI, of servers; the oldest of all.
pub(crate) const I82544EI: Chip = Chip {
    name: "82544EI",
    device: 0x1008,
    eeprom: Eeprom::Pins,
    reset: Reset::Ports,
    throttles: false,
    has_led_control: false,
    is_managed: false,
    keeps_phy_awake: false,
    wakes: true,
    apm: [APM_2, APM_2],
    keeps_order: false,
    reads_too_much: true,
    phy_control: PHY_CONTROL,
    is_choosy: true,
    overwrites_even_words: true,
};

/// 82544GC, of desktops.
pub(crate) const I82544GC: Chip = Chip {
    name: "82544GC",
    device: 0x100c,
    ..I82544EI
};

/// 82544GC on a main board.
pub(crate) const I82544GC_LOM: Chip = Chip {
    device: 0x100d,
    ..I82544GC
};

/// 82540EM, of desktops.
pub(crate) const I82540EM: Chip = Chip {
    name: "82540EM",
    device: 0x100e,
    eeprom: Eeprom::Shared,
    reset: Reset::Ports,
    throttles: true,
    has_led_control: true,
    is_managed: true,
    keeps_phy_awake: true,
    wakes: true,
    apm: [APM_3, APM_3],
    keeps_order: false,
    reads_too_much: true,
    phy_control: PHY_CONTROL,
    is_choosy: false,
    overwrites_even_words: false,
};

/// 82540EM on a main board.
pub(crate) const I82540EM_LOM: Chip = Chip {
    device: 0x1015,
    ..I82540EM
};

/// 82540EP, of desktops (Table 5-1).
pub(crate) const I82540EP: Chip = Chip {
    name: "82540EP",
    device: 0x1017,
    ..I82540EM
};

/// 82540EP, of notebooks (Table 5-1).
pub(crate) const I82540EP_LOM: Chip = Chip {
    device: 0x1016,
    ..I82540EP
};

/// 82540EP, of notebooks, with another ID.
pub(crate) const I82540EP_LP: Chip = Chip {
    device: 0x101e,
    ..I82540EP
};

/// 82545EM, of servers. On PCI-X it and the 82546EB must not write across a multiple of 64 KiB
/// (erratum 23 of Intel's specification update for the 82545EM). They never do here: a buffer lies
/// in one page, and a ring, of at most 64 KiB, at a multiple of its size.
pub(crate) const I82545EM: Chip = Chip {
    name: "82545EM",
    device: 0x100f,
    wakes: false,
    ..I82540EM
};

/// 82545GM, of servers.
pub(crate) const I82545GM: Chip = Chip {
    name: "82545GM",
    device: 0x1026,
    reset: Reset::Duplicate,
    reads_too_much: false,
    phy_control: PHY_CONTROL | PHY_CONTROL_G,
    ..I82540EM
};

/// 82546EB, of servers, with two ports, each a function of the PCI device.
pub(crate) const I82546EB: Chip = Chip {
    name: "82546EB",
    device: 0x1010,
    apm: [APM_3, APM_3_SECOND],
    ..I82540EM
};

/// Board with two 82546EB.
pub(crate) const I82546EB_QUAD: Chip = Chip {
    device: 0x101d,
    wakes: false,
    ..I82546EB
};

/// 82546GB, of servers, with two ports.
pub(crate) const I82546GB: Chip = Chip {
    name: "82546GB",
    device: 0x1079,
    apm: [APM_3, APM_3_SECOND],
    ..I82545GM
};

/// Board with two 82546GB.
pub(crate) const I82546GB_QUAD: Chip = Chip {
    device: 0x1099,
    wakes: false,
    keeps_order: true,
    ..I82546GB
};

/// Another board with two 82546GB. One of its four ports could wake the system, which cannot be told
/// from the others here.
pub(crate) const I82546GB_QUAD_2: Chip = Chip {
    device: 0x10b5,
    ..I82546GB_QUAD
};

/// Returns the entry of the PCI table for a card.
pub(crate) const fn id(chip: &Chip) -> pci::DeviceId {
    pci::DeviceId::from_id(pci::Vendor::INTEL, chip.device)
}

impl Hw<'_> {
    /// Returns the number of the port, 0 or 1, of a controller that has two (13.4.2).
    pub(crate) fn port(&self) -> usize {
        usize::from(self.bar.read(STATUS).is_second_port())
    }

    /// Returns true if the link is not one of copper: the PHY is not in use (13.4.2).
    pub(crate) fn is_fibre(&self) -> bool {
        self.bar.read(STATUS).tbimode()
    }

    /// Returns true if the bus is PCI-X (13.4.2).
    pub(crate) fn is_on_pcix(&self) -> bool {
        self.bar.read(STATUS).pcix_mode()
    }

    /// Returns true if the memory of a descriptor must not end in the first half of eight bytes.
    pub(crate) fn avoids_first_halves(&self) -> bool {
        self.chip.is_choosy && self.is_on_pcix()
    }
}

#[cfg(r4l_kunit)]
use kernel::prelude::*;

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_chip)]
mod tests {
    use super::*;

    const ALL: [Chip; 15] = [
        I82544EI,
        I82544GC,
        I82544GC_LOM,
        I82540EM,
        I82540EM_LOM,
        I82540EP,
        I82540EP_LOM,
        I82540EP_LP,
        I82545EM,
        I82545GM,
        I82546EB,
        I82546EB_QUAD,
        I82546GB,
        I82546GB_QUAD,
        I82546GB_QUAD_2,
    ];

    #[test]
    fn each_card_has_an_identity_of_its_own() {
        for (i, one) in ALL.iter().enumerate() {
            assert!(ALL
                .iter()
                .skip(i + 1)
                .all(|other| other.device != one.device));
        }
    }

    #[test]
    fn the_82544_has_none_of_the_younger_ones_registers() {
        for chip in &ALL {
            let is_82544 = chip.name.starts_with("82544");
            let has_pins = chip.eeprom == Eeprom::Pins;
            assert_eq!(has_pins, is_82544);
            assert_eq!(chip.is_choosy, is_82544);
            assert_eq!(chip.overwrites_even_words, is_82544);
            for has in [
                chip.throttles,
                chip.has_led_control,
                chip.is_managed,
                chip.keeps_phy_awake,
            ] {
                assert_eq!(has, !is_82544);
            }
        }
    }

    #[test]
    fn the_second_port_has_a_word_of_its_own() {
        for chip in &ALL {
            let [first, second] = &chip.apm;
            let differ = first.word != second.word;
            assert_eq!(differ, chip.name.starts_with("82546"));
            assert_eq!(first.bit, second.bit);
        }
    }
}
