// SPDX-License-Identifier: GPL-2.0-only

//! Ethernet's addresses and lengths.

use crate::bindings;
use kernel::{
    fmt,
    prelude::*, //
};

/// The length of an Ethernet header.
pub const ETH_HEADER_LEN: u32 = bindings::ETH_HLEN;

/// The shortest Ethernet frame, without its checksum.
pub const ETH_MIN_LEN: u32 = bindings::ETH_ZLEN;

/// The length of an Ethernet frame's checksum.
pub const ETH_FCS_LEN: u32 = bindings::ETH_FCS_LEN;

/// The MTU of Ethernet.
pub const ETH_MTU: u32 = bindings::ETH_DATA_LEN;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// No address. A device that has it cannot be set up before it is given another one.
    pub const NONE: Self = Self([0; 6]);

    /// A random address of the kind that nobody sells: locally administered, of one station.
    pub fn random() -> Self {
        let mut mac = AlignedMac([0; 6]);
        // SAFETY: There are six bytes to write, aligned to two as the function wants it.
        unsafe { bindings::eth_random_addr(mac.0.as_mut_ptr()) };
        Self(mac.0)
    }

    /// Whether it may be a station's address: neither zero nor a group address.
    pub fn is_valid(&self) -> bool {
        let aligned = AlignedMac(self.0);
        // SAFETY: There are six bytes to read, aligned to two as the function wants it.
        unsafe { bindings::is_valid_ether_addr(aligned.0.as_ptr()) }
    }
}

#[repr(align(2))]
struct AlignedMac([u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.0;
        f.write_fmt(fmt!(
            "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            m[0],
            m[1],
            m[2],
            m[3],
            m[4],
            m[5]
        ))
    }
}
