// SPDX-License-Identifier: GPL-2.0-only

//! What the stack wants to receive.

use super::{
    device::Device,
    ethernet::MacAddress,
    features::Features, //
};
use crate::bindings;

/// A set of VLANs (IEEE 802.1Q), by their identifiers of 12 bits.
pub struct Vlans([u32; Self::WORDS]);

impl Vlans {
    /// How many words [`Self::words`] has.
    pub const WORDS: usize = 128;

    pub(super) const fn new() -> Self {
        Self([0; Self::WORDS])
    }

    pub(super) fn set(&mut self, vid: u16, wanted: bool) {
        let vid = usize::from(vid) % (32 * Self::WORDS);
        let bit = 1 << (vid % 32);
        if wanted {
            self.0[vid / 32] |= bit;
        } else {
            self.0[vid / 32] &= !bit;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// As bits: VLAN `n` is bit `n % 32` of word `n / 32`.
    pub fn words(&self) -> &[u32; Self::WORDS] {
        &self.0
    }
}

/// What the stack wants to receive, inside `set_rx_mode`, with the address list's lock held.
pub struct RxMode<'a> {
    dev: &'a Device,
    vlans: &'a Vlans,
    features: Features,
}

impl<'a> RxMode<'a> {
    /// # Safety
    ///
    /// `netif_addr_lock` of `dev` is held for `'a`.
    pub(super) unsafe fn new(dev: &'a Device, vlans: &'a Vlans, features: Features) -> Self {
        Self {
            dev,
            vlans,
            features,
        }
    }

    fn flags(&self) -> u32 {
        // SAFETY: The device is valid.
        unsafe { (&raw const (*self.dev.as_raw()).flags).read_volatile() }
    }

    /// The network device.
    pub fn device(&self) -> &'a Device {
        self.dev
    }

    /// The features that are to be in effect: those of [`Device::features`], or the ones that the user
    /// switches to.
    pub fn features(&self) -> Features {
        self.features
    }

    /// The VLANs that frames are wanted of, besides those without a tag. The stack tells of them where
    /// the device has [`Features::VLAN_FILTER`]; there are none before it is told of the first, and then
    /// frames of all VLANs are wanted.
    pub fn vlans(&self) -> &'a Vlans {
        self.vlans
    }

    /// All frames.
    pub fn promiscuous(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_PROMISC != 0
    }

    /// All multicast frames.
    pub fn all_multicast(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_ALLMULTI != 0
    }

    /// The multicast addresses that are wanted.
    pub fn multicast(&self) -> AddressList<'_> {
        AddressList {
            mode: self,
            next: bindings::netdev_mc_next,
            at: core::ptr::null_mut(),
        }
    }

    /// The unicast addresses that are wanted besides the device's own.
    pub fn unicast(&self) -> AddressList<'_> {
        AddressList {
            mode: self,
            next: bindings::netdev_uc_next,
            at: core::ptr::null_mut(),
        }
    }

    /// Whether more unicast addresses than the device's own are wanted.
    pub fn has_secondary_unicast(&self) -> bool {
        // SAFETY: The device is valid, and the lock of its address lists is held.
        unsafe { (*self.dev.as_raw()).uc.count != 0 }
    }
}

/// An iterator over addresses.
pub struct AddressList<'a> {
    mode: &'a RxMode<'a>,
    next: unsafe extern "C" fn(
        *const bindings::net_device,
        *const bindings::netdev_hw_addr,
    ) -> *mut bindings::netdev_hw_addr,
    at: *mut bindings::netdev_hw_addr,
}

impl Iterator for AddressList<'_> {
    type Item = MacAddress;

    fn next(&mut self) -> Option<MacAddress> {
        // SAFETY: The device is valid, and the lock of its address lists is held for as long as
        // `mode` lives, so `at` is still on the list.
        let next = unsafe { (self.next)(self.mode.dev.as_raw(), self.at) };
        if next.is_null() {
            return None;
        }
        self.at = next;
        // SAFETY: As above.
        let addr = unsafe { &(*next).addr };
        Some(MacAddress([
            addr[0], addr[1], addr[2], addr[3], addr[4], addr[5],
        ]))
    }
}
