// SPDX-License-Identifier: GPL-2.0-only

//! What a device does for the stack, and what of it the user has switched on: `ethtool -k`, `-K`.
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

/// Some of the things that a device can do for the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// None.
    pub const NONE: Self = Self(0);
    /// A frame may lie in several pieces of memory.
    pub const SCATTER: Self = Self(layout::NETIF_F_SG as u64);
    /// The device fills in one Internet checksum at any place ([`crate::skb::Skb::checksum`]).
    pub const TX_CHECKSUM: Self = Self(layout::NETIF_F_HW_CSUM as u64);
    /// The device cuts TCP over IP version 4 into segments ([`crate::skb::Skb::segmentation`]).
    pub const TCP_SEGMENTATION: Self = Self(layout::NETIF_F_TSO as u64);
    /// Likewise over IP version 6.
    pub const TCP6_SEGMENTATION: Self = Self(layout::NETIF_F_TSO6 as u64);
    /// The device verifies checksums of TCP and UDP ([`crate::skb::RxSkb::set_checksum_verified`]).
    pub const RX_CHECKSUM: Self = Self(1 << layout::NETIF_F_RXCSUM_BIT);
    /// The device puts VLAN tags into frames ([`crate::skb::Skb::vlan_tag`]).
    pub const VLAN_INSERT: Self = Self(1 << layout::NETIF_F_HW_VLAN_CTAG_TX_BIT);
    /// The device takes VLAN tags out of frames ([`crate::skb::RxSkb::set_vlan_tag`]).
    pub const VLAN_STRIP: Self = Self(1 << layout::NETIF_F_HW_VLAN_CTAG_RX_BIT);
    /// The device receives only frames of the VLANs that are wanted ([`super::RxMode::vlans`]).
    pub const VLAN_FILTER: Self = Self(1 << layout::NETIF_F_HW_VLAN_CTAG_FILTER_BIT);
    /// The checksum at the end of a received frame (FCS) is handed up with it.
    pub const RX_FCS: Self = Self(1 << layout::NETIF_F_RXFCS_BIT);
    /// Bad frames are handed up, too.
    pub const RX_ALL: Self = Self(1 << layout::NETIF_F_RXALL_BIT);

    /// Those of both.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not among `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are among them.
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

/// The features of a device besides those of [`Offloads`](super::Offloads).
#[derive(Clone, Copy)]
pub struct FeatureSet {
    /// On at first; the user may switch them.
    pub on: Features,
    /// Off at first; the user may switch them.
    pub off: Features,
    /// On; nobody can switch them.
    pub fixed: Features,
    /// Of all, those that work inside of a VLAN, too. With [`Features::VLAN_INSERT`] the tag is not in
    /// the frame when the device works on it.
    pub in_vlan: Features,
}

impl FeatureSet {
    /// None.
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
    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_fix_features(
        dev: *mut bindings::net_device,
        wanted: bindings::netdev_features_t,
    ) -> bindings::netdev_features_t {
        // SAFETY: `dev` is ours. `register_netdev` calls this, too, when the driver is initialised.
        let driver = &unsafe { Self::of(dev) }.driver;
        driver.fix_features(Features::from_raw(wanted)).into_raw()
    }

    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_set_features(
        dev: *mut bindings::net_device,
        features: bindings::netdev_features_t,
    ) -> c_int {
        // SAFETY: `dev` is ours. `register_netdev` calls this, too, when the driver is initialised.
        let this = unsafe { Self::of(dev) };
        let features = Features::from_raw(features);
        if D::HAS_SET_FEATURES {
            if let Err(error) = this.driver.set_features(this.device(), features) {
                return error.to_errno();
            }
        }
        // The core stores them when this has returned.
        this.filter_again(features);
        0
    }

    /// # Safety
    ///
    /// Called by the core before it hands a frame to `ndo_start_xmit`, with bottom halves disabled;
    /// `dev` has a `Private<D>` behind it, and `skb` is valid.
    pub(super) unsafe extern "C" fn ndo_features_check(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
        features: bindings::netdev_features_t,
    ) -> bindings::netdev_features_t {
        // SAFETY: `dev` is ours.
        let driver = &unsafe { Self::of(dev) }.driver;
        // SAFETY: The buffer is valid for as long as this function runs. It stays its sender's:
        // nothing can be done with a shared reference but to look, and it is not dropped here.
        let skb = core::mem::ManuallyDrop::new(unsafe {
            crate::skb::Skb::from_raw(NonNull::new_unchecked(skb))
        });
        let kept = driver.features_check(&skb, Features::from_raw(features));
        // A feature that the core did not offer cannot be had.
        let features = features & kept.into_raw();
        // SAFETY: As above. What the core does itself where a device has no such operation.
        unsafe { bindings::vlan_features_check(skb.as_ptr(), features) }
    }

    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_vlan_rx_add_vid(
        dev: *mut bindings::net_device,
        _proto: bindings::__be16,
        vid: u16,
    ) -> c_int {
        // SAFETY: `dev` is ours.
        unsafe { Self::of(dev) }.want_vlan(vid, true);
        0
    }

    /// # Safety
    ///
    /// Called by the core under the RTNL lock; `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn ndo_vlan_rx_kill_vid(
        dev: *mut bindings::net_device,
        _proto: bindings::__be16,
        vid: u16,
    ) -> c_int {
        // SAFETY: `dev` is ours.
        unsafe { Self::of(dev) }.want_vlan(vid, false);
        0
    }
}

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
