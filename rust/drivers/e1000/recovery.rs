// SPDX-License-Identifier: GPL-2.0-only

//! Recovery from errors of the PCI bus.

use crate::{
    nic::Nic,
    E1000, //
};
use kernel::prelude::*;
use kit::pci::{
    Channel,
    Recovery,
    Verdict, //
};

#[vtable]
impl Recovery for E1000 {
    /// Requests a reset for each error: the card does not tell which of its transfers failed, so a
    /// descriptor or a frame may be wrong.
    fn error_detected(_nic: &Nic<'_>, _channel: Channel) -> Verdict {
        Verdict::NeedReset
    }

    fn slot_reset(nic: &Nic<'_>) -> Verdict {
        if nic.is_reachable() {
            Verdict::Recovered
        } else {
            Verdict::Disconnect
        }
    }
}
