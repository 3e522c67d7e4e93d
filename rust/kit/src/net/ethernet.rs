// SPDX-License-Identifier: GPL-2.0-only

//! Addresses and lengths of Ethernet.
//!
//! C header: [`include/linux/etherdevice.h`](srctree/include/linux/etherdevice.h)

use crate::bindings;
use kernel::{
    fmt,
    prelude::*, //
};

/// Length of an Ethernet header, in bytes.
pub const ETH_HEADER_LEN: u32 = bindings::ETH_HLEN;

/// Length of the shortest Ethernet frame without its checksum, in bytes.
pub const ETH_MIN_LEN: u32 = bindings::ETH_ZLEN;

/// Length of an Ethernet frame's checksum, in bytes.
pub const ETH_FCS_LEN: u32 = bindings::ETH_FCS_LEN;

/// MTU of Ethernet, in bytes.
pub const ETH_MTU: u32 = bindings::ETH_DATA_LEN;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Zero, which stands for a missing address. A device with it cannot be set up before the user
    /// sets another one.
    pub const NONE: Self = Self([0; 6]);

    /// Returns a random unicast address that is locally administered.
    pub fn random() -> Self {
        let mut mac = AlignedMac([0; 6]);
        // SAFETY: The function writes six bytes, which must be aligned to two.
        unsafe { bindings::eth_random_addr(mac.0.as_mut_ptr()) };
        Self(mac.0)
    }

    /// Returns true if a station can have the address: it is neither zero nor multicast.
    pub fn is_valid(&self) -> bool {
        let aligned = AlignedMac(self.0);
        // SAFETY: The function reads six bytes, which must be aligned to two.
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
