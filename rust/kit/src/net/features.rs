// SPDX-License-Identifier: GPL-2.0-only

//! Features of a device: offloads and filters that the user can switch (`ethtool -k`, `-K`).
//!
//! C header: [`include/linux/netdev_features.h`](srctree/include/linux/netdev_features.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    bindings::layout, //
};
use core::ptr::NonNull;
use kernel::ffi::c_int;

/// A set of features.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The device transmits frames in several pieces of memory.
    pub const SCATTER: Self = Self(layout::NETIF_F_SG as u64);
    /// The device fills in one Internet checksum at any place ([`crate::skb::Skb::checksum`]).
    pub const TX_CHECKSUM: Self = Self(layout::NETIF_F_HW_CSUM as u64);
    /// The device cuts TCP over IP version 4 into segments ([`crate::skb::Skb::segmentation`]).
    pub const TCP_SEGMENTATION: Self = Self(layout::NETIF_F_TSO as u64);
    /// The device cuts TCP over IP version 6 into segments.
    pub const TCP6_SEGMENTATION: Self = Self(layout::NETIF_F_TSO6 as u64);
    /// The device verifies checksums of TCP and UDP ([`crate::skb::RxSkb::set_checksum_verified`]).
    pub const RX_CHECKSUM: Self = Self(1 << layout::NETIF_F_RXCSUM_BIT);
    /// The device puts VLAN tags into frames ([`crate::skb::Skb::vlan_tag`]).
    pub const VLAN_INSERT: Self = Self(1 << layout::NETIF_F_HW_VLAN_CTAG_TX_BIT);
    /// The device takes VLAN tags out of frames ([`crate::skb::RxSkb::set_vlan_tag`]).
    pub const VLAN_STRIP: Self = Self(1 << layout::NETIF_F_HW_VLAN_CTAG_RX_BIT);
    /// The device receives only frames of the wanted VLANs ([`super::RxMode::vlans`]).
    pub const VLAN_FILTER: Self = Self(1 << layout::NETIF_F_HW_VLAN_CTAG_FILTER_BIT);
    /// The driver keeps the checksum at the end of received frames (FCS).
    pub const RX_FCS: Self = Self(1 << layout::NETIF_F_RXFCS_BIT);
    /// The driver hands bad frames to the stack, too.
    pub const RX_ALL: Self = Self(1 << layout::NETIF_F_RXALL_BIT);

    /// Returns the union of two sets.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the set without the features of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns true if the set has all features of `other`.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn into_raw(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_raw(bits: u64) -> Self {
        Self(bits)
    }
}

/// Features of a device, besides those of [`Offloads`](super::Offloads).
#[derive(Clone, Copy)]
pub struct FeatureSet {
    /// Features that are on at first, and that the user can switch.
    pub on: Features,
    /// Features that are off at first, and that the user can switch.
    pub off: Features,
    /// Features that are always on.
    pub fixed: Features,
    /// Features that also work for frames of a VLAN.
    /// With [`Features::VLAN_INSERT`], the device sees these frames without their tags.
    pub in_vlan: Features,
}

impl FeatureSet {
    /// No features.
    pub const NONE: Self = Self {
        on: Features::NONE,
        off: Features::NONE,
        fixed: Features::NONE,
        in_vlan: Features::NONE,
    };

    pub(super) const fn has(&self, feature: Features) -> bool {
        self.on.with(self.off).with(self.fixed).has(feature)
    }
}

impl<D: Driver> Private<D> {
    /// Asks the driver for features that fit each other.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has an initialised `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_fix_features(
        dev: *mut bindings::net_device,
        wanted: bindings::netdev_features_t,
    ) -> bindings::netdev_features_t {
        // SAFETY: As required of the caller. `register_netdev` calls this, too, after the driver
        // was initialised.
        let driver = &unsafe { Self::of(dev) }.driver;
        driver.fix_features(Features::from_raw(wanted)).into_raw()
    }

    /// Switches features, then programs the receive filters, which can depend on them.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has an initialised `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_set_features(
        dev: *mut bindings::net_device,
        features: bindings::netdev_features_t,
    ) -> c_int {
        // SAFETY: As required of the caller. `register_netdev` calls this, too, after the driver
        // was initialised.
        let this = unsafe { Self::of(dev) };
        let features = Features::from_raw(features);
        if D::HAS_SET_FEATURES {
            if let Err(error) = this.driver.set_features(this.device(), features) {
                return error.to_errno();
            }
        }
        // The core stores the features after this function, so `dev` has the former ones.
        this.filter_again(features);
        0
    }

    /// Asks the driver for the features of one frame, before `ndo_start_xmit`.
    ///
    /// Context: bottom halves off; called by netpoll, interrupts off. The transmit queue's lock may
    /// be held. Must not sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `skb` is valid.
    pub(super) unsafe extern "C" fn ndo_features_check(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
        features: bindings::netdev_features_t,
    ) -> bindings::netdev_features_t {
        // SAFETY: As required of the caller.
        let driver = &unsafe { Self::of(dev) }.driver;
        // SAFETY: The buffer is valid while this function runs. The caller keeps its reference: the
        // value is not dropped here, and a shared borrow of it allows no change.
        let skb = core::mem::ManuallyDrop::new(unsafe {
            crate::skb::Skb::from_raw(NonNull::new_unchecked(skb))
        });
        let kept = driver.features_check(&skb, Features::from_raw(features));
        // The driver must not add features that are switched off.
        let features = features & kept.into_raw();
        // SAFETY: As above. The core does the same where a device lacks this operation.
        unsafe { bindings::vlan_features_check(skb.as_ptr(), features) }
    }

    /// Adds a VLAN to the receive filter.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_vlan_rx_add_vid(
        dev: *mut bindings::net_device,
        _proto: bindings::__be16,
        vid: u16,
    ) -> c_int {
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.want_vlan(vid, true);
        0
    }

    /// Removes a VLAN from the receive filter.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_vlan_rx_kill_vid(
        dev: *mut bindings::net_device,
        _proto: bindings::__be16,
        vid: u16,
    ) -> c_int {
        // SAFETY: As required of the caller.
        unsafe { Self::of(dev) }.want_vlan(vid, false);
        0
    }
}

#[cfg(r4l_kunit)]
use kernel::prelude::*;

#[cfg(r4l_kunit)]
#[kunit_tests(kit_features)]
mod tests {
    use super::*;

    #[test]
    fn features_are_sets() {
        let both = Features::RX_ALL.with(Features::RX_FCS);
        assert!(both.has(Features::RX_ALL) && both.has(Features::RX_FCS));
        assert!(!Features::RX_ALL.has(both));
        assert!(both.without(Features::RX_ALL) == Features::RX_FCS);
        assert!(both.has(Features::NONE));
    }
}
