// SPDX-License-Identifier: GPL-2.0-only

//! Link settings: speed, duplex and negotiation (`ethtool`, `ethtool -s`, `ethtool -r`).

use crate::{
    bindings,
    bindings::layout,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};
use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};

/// A set of link modes of copper Ethernet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkModes(u32);

impl LinkModes {
    /// 10 Mbit/s, half duplex.
    pub const HALF_10: Self = Self(layout::ADVERTISED_10BASET_HALF as u32);
    /// 10 Mbit/s, full duplex.
    pub const FULL_10: Self = Self(layout::ADVERTISED_10BASET_FULL as u32);
    /// 100 Mbit/s, half duplex.
    pub const HALF_100: Self = Self(layout::ADVERTISED_100BASET_HALF as u32);
    /// 100 Mbit/s, full duplex.
    pub const FULL_100: Self = Self(layout::ADVERTISED_100BASET_FULL as u32);
    /// 1000 Mbit/s, full duplex.
    pub const FULL_1000: Self = Self(layout::ADVERTISED_1000BASET_FULL as u32);
    /// Symmetric pause (IEEE 802.3, annex 28B).
    pub const PAUSE: Self = Self(layout::ADVERTISED_PAUSE as u32);
    /// Asymmetric pause (IEEE 802.3, annex 28B).
    pub const ASYMMETRIC_PAUSE: Self = Self(layout::ADVERTISED_ASYM_PAUSE as u32);
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Returns the union of two sets.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the set without the modes of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns true if the set has all modes of `other`.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the set as bits, `ADVERTISED_*` of `linux/ethtool.h`.
    pub const fn into_raw(self) -> u32 {
        self.0
    }

    /// Returns the set for bits of [`Self::into_raw`].
    pub const fn from_raw(bits: u32) -> Self {
        Self(bits)
    }
}

/// Requested link settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LinkRequest {
    /// Negotiate, and advertise these modes to the link partner.
    Negotiate(LinkModes),
    /// Do not negotiate: use this mode, which is a set of one.
    Force(LinkModes),
}

/// Returns the mode for a speed in Mbit/s and a duplex.
///
/// # Errors
///
/// [`EINVAL`] if there is none.
fn mode_of(speed: u32, full_duplex: bool) -> Result<LinkModes> {
    match (speed, full_duplex) {
        (10, false) => Ok(LinkModes::HALF_10),
        (10, true) => Ok(LinkModes::FULL_10),
        (100, false) => Ok(LinkModes::HALF_100),
        (100, true) => Ok(LinkModes::FULL_100),
        (1000, true) => Ok(LinkModes::FULL_1000),
        _ => Err(EINVAL),
    }
}

impl<D: Driver> Private<D> {
    /// Restarts the negotiation of the link, if the interface is up.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it.
    pub(super) unsafe extern "C" fn nway_reset(dev: *mut bindings::net_device) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let this = unsafe { Self::of(dev) };
            if !this.device().is_up() {
                return Err(EAGAIN);
            }
            this.driver.negotiate_again().map(|()| 0)
        })
    }

    /// Stores the link settings.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `settings` is valid.
    pub(super) unsafe extern "C" fn get_link_ksettings(
        dev: *mut bindings::net_device,
        settings: *mut bindings::ethtool_link_ksettings,
    ) -> c_int {
        // SAFETY: As required of the caller.
        let driver = &unsafe { Self::of(dev) }.driver;
        let link = driver.link();
        // SAFETY: As required of the caller.
        let settings = unsafe { &mut *settings };
        let base = &mut settings.base;
        base.port = bindings::PORT_TP as u8;
        base.autoneg = bindings::AUTONEG_ENABLE as u8;
        match link {
            Some(link) => {
                base.speed = link.speed;
                base.duplex = if link.full_duplex {
                    bindings::DUPLEX_FULL as u8
                } else {
                    bindings::DUPLEX_HALF as u8
                };
            }
            None => {
                base.speed = bindings::SPEED_UNKNOWN as u32;
                base.duplex = bindings::DUPLEX_UNKNOWN as u8;
            }
        }
        if D::HAS_LINK_REQUEST {
            let (request, supported) = driver.link_request();
            let advertised = match request {
                LinkRequest::Negotiate(modes) => modes.0 | layout::ADVERTISED_AUTONEG as u32,
                LinkRequest::Force(_) => {
                    base.autoneg = bindings::AUTONEG_DISABLE as u8;
                    0
                }
            };
            let supported =
                supported.0 | layout::ADVERTISED_AUTONEG as u32 | layout::ADVERTISED_TP as u32;
            // SAFETY: Both bitmaps have room for all modes.
            unsafe {
                bindings::ethtool_convert_legacy_u32_to_link_mode(
                    settings.link_modes.supported.as_mut_ptr(),
                    supported,
                );
                bindings::ethtool_convert_legacy_u32_to_link_mode(
                    settings.link_modes.advertising.as_mut_ptr(),
                    advertised | layout::ADVERTISED_TP as u32,
                );
            }
        }
        0
    }

    /// Changes the link settings, if the device supports the new ones.
    ///
    /// Context: process, under the RTNL lock. May sleep.
    ///
    /// # Safety
    ///
    /// `dev` has a `Private<D>` behind it, and `settings` is valid.
    pub(super) unsafe extern "C" fn set_link_ksettings(
        dev: *mut bindings::net_device,
        settings: *const bindings::ethtool_link_ksettings,
    ) -> c_int {
        from_result(|| {
            // SAFETY: As required of the caller.
            let (this, settings) = unsafe { (Self::of(dev), &*settings) };
            let (_, supported) = this.driver.link_request();
            let request = if u32::from(settings.base.autoneg) == bindings::AUTONEG_ENABLE {
                let mut modes = 0;
                // SAFETY: The bitmap has all modes, and `modes` has room for the legacy ones.
                let legacy = unsafe {
                    bindings::ethtool_convert_link_mode_to_legacy_u32(
                        &mut modes,
                        settings.link_modes.advertising.as_ptr(),
                    )
                };
                let ignored = layout::ADVERTISED_AUTONEG as u32 | layout::ADVERTISED_TP as u32;
                let modes = LinkModes(modes & !ignored);
                if !legacy || modes == LinkModes::NONE || !supported.has(modes) {
                    return Err(EINVAL);
                }
                LinkRequest::Negotiate(modes)
            } else {
                let full = u32::from(settings.base.duplex) == bindings::DUPLEX_FULL;
                let mode = mode_of(settings.base.speed, full)?;
                if !supported.has(mode) {
                    return Err(EINVAL);
                }
                LinkRequest::Force(mode)
            };
            this.driver
                .set_link_request(this.device(), request)
                .map(|()| 0)
        })
    }
}
