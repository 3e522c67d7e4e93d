// SPDX-License-Identifier: GPL-2.0-only

//! The members of the family, and what one has that another lacks (5.2, and the remarks at the
//! registers of 13.4).

/// One member of the family.
pub(crate) struct Chip {
    pub(crate) name: &'static str,
    /// Its device ID, as far as the EEPROM does not say another.
    pub(crate) device: u32,
    /// The EEPROM has to be asked for before its pins are used (13.4.3).
    pub(crate) shares_eeprom: bool,
    /// Interrupts can be kept apart (13.4.18), and delayed absolutely (13.4.31, 13.4.44).
    pub(crate) throttles: bool,
    /// A management controller may want the ARP requests.
    pub(crate) is_managed: bool,
    /// CTRL has the bits for a PHY that stays awake while the system sleeps (13.4.1).
    pub(crate) keeps_phy_awake: bool,
    /// Bit of the EEPROM that enables wake-up by APM.
    pub(crate) apm: EepromBit,
}

/// One bit of the EEPROM.
pub(crate) struct EepromBit {
    pub(crate) word: u8,
    pub(crate) bit: u16,
}

/// 82540EM, the one that a desktop has.
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

/// 82544EI, the oldest.
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

/// 82544GC, the same for a desktop.
pub(crate) const I82544GC: Chip = Chip {
    name: "82544GC",
    device: 0x100c,
    ..I82544EI
};

/// 82545EM, the one that a server has.
pub(crate) const I82545EM: Chip = Chip {
    name: "82545EM",
    device: 0x100f,
    ..I82540EM
};
