// SPDX-License-Identifier: GPL-2.0-only

//! What the card does for the stack when it receives, and with VLANs (9): what the user switches
//! with `ethtool -K`. The rest of it is in `filter`, since it is in RCTL.

use crate::{
    desc::RxStatus,
    hw::Hw,
    regs::{
        CTRL,
        RXCSUM,
        VET, //
    }, //
};
use kernel::{
    io::Io,
    prelude::*, //
};
use kit::{
    net::{
        FeatureSet,
        Features, //
    },
    skb::RxSkb, //
};

/// What the card can do.
pub(crate) const SET: FeatureSet = FeatureSet {
    on: Features::VLAN_STRIP.with(Features::RX_CHECKSUM),
    off: Features::RX_FCS.with(Features::RX_ALL),
    // Insertion goes with stripping, see `fix`.
    fixed: Features::VLAN_FILTER.with(Features::VLAN_INSERT),
    in_vlan: Features::SCATTER
        .with(Features::TX_CHECKSUM)
        .with(Features::TCP_SEGMENTATION),
};

/// The Ethertype of VLAN tags, which VET has after a reset, too (13.4.11).
const VLAN: u32 = 0x8100;

/// One bit, CTRL.VME, is for tags of both directions (13.4.1).
pub(crate) fn fix(wanted: Features) -> Features {
    if wanted.has(Features::VLAN_STRIP) {
        wanted.with(Features::VLAN_INSERT)
    } else {
        wanted.without(Features::VLAN_INSERT)
    }
}

/// Has the card work as the features say, as far as RCTL does not have to say it. Under the RTNL
/// lock, like all that changes CTRL.
pub(crate) fn apply(hw: &Hw<'_>, features: Features) {
    let checks = features.has(Features::RX_CHECKSUM);
    hw.bar.write_reg(VET::from(VLAN));
    hw.bar.update(CTRL, |ctrl| {
        ctrl.with_vme(features.has(Features::VLAN_STRIP))
    });
    hw.bar
        .write_reg(RXCSUM::zeroed().with_ipofl(checks).with_tuofl(checks));
}

/// Tells the stack what the card has found out about a frame (3.2.3.1, 3.2.9).
#[inline]
pub(crate) fn told(mut skb: RxSkb, status: RxStatus, features: Features) -> RxSkb {
    if status.vp() {
        skb.set_vlan_tag(status.special().get() as u16);
    }
    if status.is_checksum_right() && features.has(Features::RX_CHECKSUM) {
        skb.set_checksum_verified();
    }
    skb
}
