// SPDX-License-Identifier: GPL-2.0-only

//! The registers of the 82540EM that the driver uses, all in BAR 0. Section numbers are those of
//! Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual".

use kernel::io::register;

register! {
    /// Transmit control, 13.4.33.
    pub(crate) TCTL(u32) @ 0x0400 {
        /// Collision distance.
        21:12 cold;
        /// Collision threshold.
        11:4 ct;
        /// Pads short packets.
        3:3 psp => bool;
        1:1 en => bool;
    }

    /// The transmit ring, 13.4.36 to 13.4.40.
    pub(crate) TDBAL(u32) @ 0x3800 { 31:0 value; }
    pub(crate) TDBAH(u32) @ 0x3804 { 31:0 value; }
    pub(crate) TDLEN(u32) @ 0x3808 { 31:0 value; }
    pub(crate) TDH(u32) @ 0x3810 { 15:0 value; }
    pub(crate) TDT(u32) @ 0x3818 { 15:0 value; }

    /// The card's own address, 13.5.2 and 13.5.3: it has read it from its EEPROM.
    pub(crate) RAL(u32) @ 0x5400 { 31:0 value; }
    pub(crate) RAH(u32) @ 0x5404 { 15:0 value; }
}

/// Size of the registers in bytes.
pub(crate) const END: usize = 0x5408;
