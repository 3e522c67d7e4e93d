// SPDX-License-Identifier: GPL-2.0-only

//! Differences between the controllers (5.2, and the remarks at the registers in 13.4).

/// A controller of the family.
pub(crate) struct Chip {
    pub(crate) name: &'static str,
    /// PCI device ID, unless the EEPROM has another one.
    pub(crate) device: u32,
    /// True if the EEPROM's pins have to be requested before use (13.4.3).
    pub(crate) shares_eeprom: bool,
    /// True if there are ITR (13.4.18), RADV (13.4.31) and TADV (13.4.44).
    pub(crate) throttles: bool,
    /// True if a management controller can receive the ARP requests.
    pub(crate) is_managed: bool,
    /// True if CTRL has the bits ADVD3WUC and EN_PHY_PWR_MGMT (13.4.1).
    pub(crate) keeps_phy_awake: bool,
    /// Bit of the EEPROM that enables wake-up by APM.
    pub(crate) apm: EepromBit,
}

/// A bit of the EEPROM.
pub(crate) struct EepromBit {
    pub(crate) word: u8,
    pub(crate) bit: u16,
}

/// 82540EM, of desktops.
pub(crate) const I82540EM: Chip = Chip {
    name: "82540EM",
    device: 0x100e,
    shares_eeprom: true,
    throttles: true,
    is_managed: true,
    keeps_phy_awake: true,
    // Initialization Control 3 (Table 5-2).
    apm: EepromBit {
        word: 0x24,
        bit: 1 << 10,
    },
};

/// 82544EI, of servers; the oldest of the four.
pub(crate) const I82544EI: Chip = Chip {
    name: "82544EI",
    device: 0x1008,
    shares_eeprom: false,
    throttles: false,
    is_managed: false,
    keeps_phy_awake: false,
    // Initialization Control 2 (Table 5-2).
    apm: EepromBit {
        word: 0x0f,
        bit: 1 << 2,
    },
};

/// 82544GC, of desktops.
pub(crate) const I82544GC: Chip = Chip {
    name: "82544GC",
    device: 0x100c,
    ..I82544EI
};

/// 82545EM, of servers.
pub(crate) const I82545EM: Chip = Chip {
    name: "82545EM",
    device: 0x100f,
    ..I82540EM
};
