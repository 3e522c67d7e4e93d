// SPDX-License-Identifier: GPL-2.0-only

//! Features that the user switches with `ethtool -K`: receive checksums and VLAN tags (9). `filter`
//! has those whose bits are in RCTL.

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

/// Features of the card.
pub(crate) const SET: FeatureSet = FeatureSet {
    on: Features::VLAN_STRIP.with(Features::RX_CHECKSUM),
    off: Features::RX_FCS.with(Features::RX_ALL),
    // Insertion is switched together with stripping (`fix`).
    fixed: Features::VLAN_FILTER.with(Features::VLAN_INSERT),
    in_vlan: Features::SCATTER
        .with(Features::TX_CHECKSUM)
        .with(Features::TCP_SEGMENTATION),
};

/// Ethertype of VLAN tags; VET has none after a reset (13.4.11).
const VLAN: u32 = 0x8100;

/// Returns the possible features next to the wanted ones: CTRL.VME is for tags of both directions
/// (13.4.1).
pub(crate) fn fix(wanted: Features) -> Features {
    if wanted.has(Features::VLAN_STRIP) {
        wanted.with(Features::VLAN_INSERT)
    } else {
        wanted.without(Features::VLAN_INSERT)
    }
}

/// Switches the features whose bits are not in RCTL.
///
/// Context: under the RTNL lock, which guards CTRL.
pub(crate) fn apply(hw: &Hw<'_>, features: Features) {
    let checks = features.has(Features::RX_CHECKSUM);
    hw.bar.write_reg(VET::from(VLAN));
    hw.bar.update(CTRL, |ctrl| {
        ctrl.with_vme(features.has(Features::VLAN_STRIP))
    });
    hw.bar
        .write_reg(RXCSUM::zeroed().with_ipofl(checks).with_tuofl(checks));
}

/// Adds VLAN tag and state of the checksum, from the descriptor, to a frame (3.2.3.1, 3.2.9).
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
