// SPDX-License-Identifier: GPL-2.0-only

//! The registers, with the fields that the driver uses (13.4 to 13.7).

use kernel::io::register;

register! {
    /// Device control, 13.4.1.
    pub(crate) CTRL(u32) @ 0x0000 {
        31:31 phy_rst => bool;
        /// VLAN tags are removed from received frames, and inserted into sent ones.
        30:30 vme => bool;
        28:28 tfce => bool;
        27:27 rfce => bool;
        /// Resets all but PHY and PCI configuration. Clears itself.
        26:26 rst => bool;
        /// Software definable pin 0 is an output.
        22:22 swdpio0 => bool;
        /// Power management of the PHY is enabled.
        21:21 en_phy_pwr_mgmt => bool;
        /// The PCI configuration advertises wake-up from D3cold.
        20:20 advd3wuc => bool;
        /// Level of the software definable pin 0.
        18:18 swdpin0 => bool;
        12:12 frcdplx => bool;
        11:11 frcspd => bool;
        /// Speed, if it is forced: 2 is 1000 Mbit/s.
        9:8 speed;
        7:7 ilos => bool;
        /// Set link up.
        6:6 slu => bool;
        /// The MAC takes over the speed that the PHY detects.
        5:5 asde => bool;
        3:3 lrst => bool;
        0:0 fd => bool;
    }

    /// Device control, at a second address that the driver in C uses (`e1000_reset_hw`).
    pub(crate) CTRL_DUP(u32) @ 0x0004 { 31:0 value; }

    /// Device status, 13.4.2.
    pub(crate) STATUS(u32) @ 0x0008 {
        /// The bus is PCI-X.
        13:13 pcix_mode => bool;
        7:6 speed;
        /// The link is negotiated by the MAC (TBI, SerDes).
        5:5 tbimode => bool;
        /// The link partner requests a pause.
        4:4 txoff => bool;
        /// The registers are those of the second port; an identifier of two bits.
        2:2 is_second_port => bool;
        /// Link up.
        1:1 lu => bool;
        0:0 fd => bool;
    }

    /// Extended device control, 13.4.6.
    pub(crate) CTRL_EXT(u32) @ 0x0018 {
        /// Relaxed ordering on PCI-X is off.
        17:17 ro_dis => bool;
    }

    /// EEPROM and flash control: pins of the EEPROM, 13.4.3.
    pub(crate) EECD(u32) @ 0x0010 {
        9:9 has_256_words => bool;
        /// The pins are reserved for software.
        7:7 grant => bool;
        6:6 request => bool;
        /// Data from the EEPROM.
        3:3 data_out => bool;
        /// Data to the EEPROM.
        2:2 data_in => bool;
        1:1 select => bool;
        0:0 clock => bool;
    }

    /// EEPROM read, 13.4.4.
    pub(crate) EERD(u32) @ 0x0014 {
        31:16 data;
        15:8 addr;
        4:4 done => bool;
        0:0 start => bool;
    }

    /// MDI control: accesses to the PHY's registers, 13.4.7.
    pub(crate) MDIC(u32) @ 0x0020 {
        30:30 error => bool;
        28:28 ready => bool;
        27:26 op;
        25:21 phyadd;
        20:16 regadd;
        15:0 data;
    }

    /// Flow control address, low and high, 13.4.8 and 13.4.9.
    pub(crate) FCAL(u32) @ 0x0028 { 31:0 value; }
    pub(crate) FCAH(u32) @ 0x002c { 31:0 value; }
    /// Flow control type, 13.4.10.
    pub(crate) FCT(u32) @ 0x0030 { 31:0 value; }
    /// Flow control transmit timer value, 13.4.12.
    pub(crate) FCTTV(u32) @ 0x0170 { 31:0 value; }

    /// VLAN Ethertype, 13.4.11.
    pub(crate) VET(u32) @ 0x0038 { 15:0 ethertype; }

    /// Interrupt causes, cleared by a read, 13.4.17.
    pub(crate) ICR(u32) @ 0x00c0 {
        /// Receiver timer: a frame was received.
        7:7 rxt0 => bool;
        /// Receiver overrun.
        6:6 rxo => bool;
        /// Few receive descriptors are left.
        4:4 rxdmt0 => bool;
        /// Link status changed.
        2:2 lsc => bool;
        /// Transmit descriptor written back.
        0:0 txdw => bool;
    }

    /// Interrupt throttling, in units of 256 ns, 13.4.18.
    pub(crate) ITR(u32) @ 0x00c4 { 15:0 interval; }
    /// Interrupt cause set, 13.4.19.
    pub(crate) ICS(u32) @ 0x00c8 {
        2:2 lsc => bool;
    }
    /// Interrupt mask set, 13.4.20.
    pub(crate) IMS(u32) @ 0x00d0 {
        7:7 rxt0 => bool;
        6:6 rxo => bool;
        4:4 rxdmt0 => bool;
        2:2 lsc => bool;
        0:0 txdw => bool;
    }
    /// Interrupt mask clear, 13.4.21.
    pub(crate) IMC(u32) @ 0x00d8 { 31:0 causes; }

    /// Receive control, 13.4.22.
    pub(crate) RCTL(u32) @ 0x0100 {
        /// The FCS is not stored.
        26:26 secrc => bool;
        25:25 bsex => bool;
        /// MAC control frames are passed on.
        23:23 pmcf => bool;
        /// Tagged frames are received of the VLANs in the table only.
        18:18 vfe => bool;
        /// Buffer size; 0 for 2048 bytes without `bsex`.
        17:16 bsize;
        /// Broadcast frames are received.
        15:15 bam => bool;
        /// Bits of an address that index the multicast table; 0 for bits 47:36.
        13:12 mo;
        /// Long frames are received.
        5:5 lpe => bool;
        /// All multicast frames are received.
        4:4 mpe => bool;
        /// All unicast frames are received.
        3:3 upe => bool;
        /// Bad frames are stored.
        2:2 sbp => bool;
        1:1 en => bool;
    }

    /// Transmit control, 13.4.33.
    pub(crate) TCTL(u32) @ 0x0400 {
        /// Collision distance.
        21:12 cold;
        /// Collision threshold.
        11:4 ct;
        /// Short frames are padded.
        3:3 psp => bool;
        1:1 en => bool;
    }

    /// Transmit inter-packet gap, 13.4.34.
    pub(crate) TIPG(u32) @ 0x0410 {
        29:20 ipgr2;
        19:10 ipgr1;
        9:0 ipgt;
    }

    /// LED control, 13.4.15.
    pub(crate) LEDCTL(u32) @ 0x0e00 { 31:0 value; }

    /// Flow control receive threshold low: level of the FIFO at which an XON ends a pause, 13.4.23.
    pub(crate) FCRTL(u32) @ 0x2160 {
        31:31 xone => bool;
        15:0 threshold;
    }
    /// Flow control receive threshold high: level at which an XOFF requests a pause, 13.4.24.
    pub(crate) FCRTH(u32) @ 0x2168 { 15:0 threshold; }

    /// Packet buffer allocation, 13.4.16.
    pub(crate) PBA(u32) @ 0x1000 {
        /// Size of the receive FIFO in KiB; the transmit FIFO has the rest of 64 KiB.
        6:0 rxa;
    }

    /// The receive ring, 13.4.25 to 13.4.29.
    pub(crate) RDBAL(u32) @ 0x2800 { 31:0 value; }
    pub(crate) RDBAH(u32) @ 0x2804 { 31:0 value; }
    pub(crate) RDLEN(u32) @ 0x2808 { 31:0 value; }
    pub(crate) RDH(u32) @ 0x2810 { 15:0 value; }
    pub(crate) RDT(u32) @ 0x2818 { 15:0 value; }
    /// Receive delay timer, 13.4.30, and absolute delay, 13.4.31.
    pub(crate) RDTR(u32) @ 0x2820 { 15:0 value; }
    pub(crate) RADV(u32) @ 0x282c { 15:0 value; }

    /// The transmit ring, 13.4.36 to 13.4.40.
    pub(crate) TDBAL(u32) @ 0x3800 { 31:0 value; }
    pub(crate) TDBAH(u32) @ 0x3804 { 31:0 value; }
    pub(crate) TDLEN(u32) @ 0x3808 { 31:0 value; }
    pub(crate) TDH(u32) @ 0x3810 { 15:0 value; }
    pub(crate) TDT(u32) @ 0x3818 { 15:0 value; }
    /// Transmit interrupt delay, 13.4.41, and absolute delay, 13.4.44.
    pub(crate) TIDV(u32) @ 0x3820 { 15:0 value; }
    pub(crate) TADV(u32) @ 0x382c { 15:0 value; }

    /// The statistics, 13.7. A read clears a register; at its maximum it stays.
    pub(crate) STATISTICS(u32)[64] @ 0x4000 { 31:0 count; }

    /// Missed packets count, 13.7.5.
    pub(crate) MPC(u32) @ 0x4010 { 31:0 count; }

    /// Receive checksum control, 13.4.47.
    pub(crate) RXCSUM(u32) @ 0x5000 {
        /// Checksums of TCP and UDP are verified.
        9:9 tuofl => bool;
        /// Checksums of IP headers are verified.
        8:8 ipofl => bool;
    }

    /// Wake-up control, 13.6.1.
    pub(crate) WUC(u32) @ 0x5800 {
        /// PME# is asserted for a wake-up.
        1:1 pme_en => bool;
        /// Wake-up by APM is enabled; after a reset as in the EEPROM.
        0:0 apme => bool;
    }

    /// Wake-up filter control: kinds of frames that wake the system, 13.6.2.
    pub(crate) WUFC(u32) @ 0x5808 {
        /// Broadcast.
        4:4 bc => bool;
        /// Multicast frames that pass the filter of addresses.
        3:3 mc => bool;
        /// Frames to a receive address.
        2:2 ex => bool;
        /// Magic packets.
        1:1 mag => bool;
    }

    /// Wake-up status: kinds of received frames, cleared by ones, 13.6.3.
    pub(crate) WUS(u32) @ 0x5810 { 31:0 causes; }

    /// Management control. The manual has the values from the EEPROM only, 5.6.24.
    pub(crate) MANC(u32) @ 0x5820 {
        /// ARP requests go to the management controller.
        13:13 arp_en => bool;
        /// A management controller is connected, by SMBus; as in the EEPROM.
        0:0 smbus_en => bool;
    }

    /// Multicast table array, 13.5.1.
    pub(crate) MTA(u32)[128] @ 0x5200 { 31:0 bits; }

    /// VLAN filter table array, 13.5.4.
    pub(crate) VFTA(u32)[128] @ 0x5600 { 31:0 bits; }

    /// Receive addresses, low, 13.5.2.
    pub(crate) RAL(u32)[16, stride = 8] @ 0x5400 { 31:0 value; }
    /// Receive addresses, high, 13.5.3.
    pub(crate) RAH(u32)[16, stride = 8] @ 0x5404 {
        /// Address valid.
        31:31 av => bool;
        15:0 value;
    }
}

/// End of the registers that the driver uses.
pub(crate) const END: usize = 0x5824;
