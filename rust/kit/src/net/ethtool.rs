// SPDX-License-Identifier: GPL-2.0-only

//! Operations of `ethtool`, one file for each job.
//!
//! The core calls all of them in process context, under the RTNL lock. They may sleep.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

mod coalesce;
mod debug;
mod eeprom;
mod identify;
mod link;
mod pause;
mod rings;
mod self_test;
mod statistics;

pub use self::{
    identify::Lamp,
    link::{
        LinkModes,
        LinkRequest, //
    },
    pause::Pause, //
};

use super::{
    driver::Driver,
    private::Private, //
};
use crate::{
    bindings,
    bindings::layout, //
};

impl<D: Driver> Private<D> {
    // `get_drvinfo` is not needed: the core takes the names of driver and bus device.
    pub(super) const ETHTOOL_OPS: bindings::ethtool_ops = {
        let mut ops = bindings::ethtool_ops {
            get_link: Some(bindings::ethtool_op_get_link),
            // Frames get their time stamp when they are counted as sent.
            get_ts_info: Some(bindings::ethtool_op_get_ts_info),
            ..pin_init::zeroed()
        };
        if D::HAS_REGISTERS {
            ops.get_regs_len = Some(Self::get_regs_len);
            ops.get_regs = Some(Self::get_regs);
        }
        if D::HAS_MESSAGES {
            ops.get_msglevel = Some(Self::get_msglevel);
            ops.set_msglevel = Some(Self::set_msglevel);
        }
        if D::HAS_NEGOTIATE_AGAIN {
            ops.nway_reset = Some(Self::nway_reset);
        }
        if D::HAS_READ_EEPROM {
            ops.get_eeprom_len = Some(Self::get_eeprom_len);
            ops.get_eeprom = Some(Self::get_eeprom);
            if D::HAS_WRITE_EEPROM {
                ops.set_eeprom = Some(Self::set_eeprom);
            }
        }
        if D::HAS_INTERRUPT_INTERVAL {
            ops.supported_coalesce_params = layout::ETHTOOL_COALESCE_RX_USECS as u32;
            if D::HAS_ADAPTS_INTERVAL {
                ops.supported_coalesce_params |= layout::ETHTOOL_COALESCE_USE_ADAPTIVE_RX as u32;
            }
            ops.get_coalesce = Some(Self::get_coalesce);
            ops.set_coalesce = Some(Self::set_coalesce);
        }
        if D::HAS_RING_SIZES {
            ops.get_ringparam = Some(Self::get_ringparam);
            if D::HAS_MAKE_RINGS {
                ops.set_ringparam = Some(Self::set_ringparam);
            }
        }
        if D::HAS_PAUSE {
            ops.get_pauseparam = Some(Self::get_pauseparam);
            ops.set_pauseparam = Some(Self::set_pauseparam);
        }
        if D::HAS_ARM_WAKE {
            ops.get_wol = Some(Self::get_wol);
            ops.set_wol = Some(Self::set_wol);
        }
        if D::HAS_SELF_TEST {
            ops.self_test = Some(Self::self_test);
        }
        if Self::HAS_NAMES {
            ops.get_sset_count = Some(Self::get_sset_count);
            ops.get_strings = Some(Self::get_strings);
        }
        if D::HAS_IDENTIFY {
            ops.set_phys_id = Some(Self::set_phys_id);
        }
        if !D::COUNTERS.is_empty() {
            ops.get_ethtool_stats = Some(Self::get_ethtool_stats);
        }
        if D::HAS_LINK {
            ops.get_link_ksettings = Some(Self::get_link_ksettings);
        }
        if D::HAS_SET_LINK_REQUEST {
            ops.set_link_ksettings = Some(Self::set_link_ksettings);
        }
        ops
    };
}
