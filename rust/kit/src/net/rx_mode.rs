// SPDX-License-Identifier: GPL-2.0-only

//! Receive mode: the frames that the stack wants to receive.

use super::{
    device::Device,
    ethernet::MacAddress,
    features::Features, //
};
use crate::bindings;

/// A set of VLANs (IEEE 802.1Q) by their identifiers, which have 12 bits.
pub struct Vlans([u32; Self::WORDS]);

impl Vlans {
    /// Number of words in [`Self::words`].
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

    /// Returns true if the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Returns the set as bits: VLAN `n` is bit `n % 32` of word `n / 32`.
    pub fn words(&self) -> &[u32; Self::WORDS] {
        &self.0
    }
}

/// Frames that the stack wants to receive, in `set_rx_mode`, with `netif_addr_lock` held.
pub struct RxMode<'a> {
    dev: &'a Device,
    vlans: &'a Vlans,
    features: Features,
}

impl<'a> RxMode<'a> {
    /// Returns the value for a device, with VLANs and features.
    ///
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

    /// Returns the network device.
    pub fn device(&self) -> &'a Device {
        self.dev
    }

    /// Returns the features to program: those of [`Device::features`], or the new ones during a
    /// change.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Returns the wanted VLANs, for a device with [`Features::VLAN_FILTER`]. Frames without a tag
    /// are wanted in any case. If the set is empty, frames of all VLANs are wanted.
    pub fn vlans(&self) -> &'a Vlans {
        self.vlans
    }

    /// Returns true if all frames are wanted.
    pub fn promiscuous(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_PROMISC != 0
    }

    /// Returns true if all multicast frames are wanted.
    pub fn all_multicast(&self) -> bool {
        self.flags() & bindings::net_device_flags_IFF_ALLMULTI != 0
    }

    /// Returns the wanted multicast addresses.
    pub fn multicast(&self) -> AddressList<'_> {
        AddressList {
            mode: self,
            next: bindings::netdev_mc_next,
            at: core::ptr::null_mut(),
        }
    }

    /// Returns the wanted unicast addresses, without the device's own.
    pub fn unicast(&self) -> AddressList<'_> {
        AddressList {
            mode: self,
            next: bindings::netdev_uc_next,
            at: core::ptr::null_mut(),
        }
    }

    /// Returns true if other unicast addresses than the device's own are wanted.
    pub fn has_secondary_unicast(&self) -> bool {
        // SAFETY: The device is valid, and the lock of its address lists is held.
        unsafe { (*self.dev.as_raw()).uc.count != 0 }
    }
}

/// Iterator over one of the device's address lists.
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
