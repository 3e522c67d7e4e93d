// SPDX-License-Identifier: GPL-2.0-only

//! What `ethtool` asks.

use super::{
    driver::Driver,
    private::Private, //
};
use crate::bindings;
use kernel::ffi::c_int;

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_ringparam(
        dev: *mut bindings::net_device,
        ring: *mut bindings::ethtool_ringparam,
        _kernel_ring: *mut bindings::kernel_ethtool_ringparam,
        _ack: *mut bindings::netlink_ext_ack,
    ) {
        // SAFETY: The core only calls this for a registered device of ours.
        let (rx, tx) = unsafe { Self::of(dev) }.driver.ring_sizes();
        // SAFETY: The core hands over a valid structure to fill in.
        let ring = unsafe { &mut *ring };
        (ring.rx_max_pending, ring.rx_pending) = (rx, rx);
        (ring.tx_max_pending, ring.tx_pending) = (tx, tx);
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_sset_count(_dev: *mut bindings::net_device, set: c_int) -> c_int {
        if set as u32 == bindings::ethtool_stringset_ETH_SS_STATS {
            D::COUNTERS.len() as c_int
        } else {
            -(bindings::EOPNOTSUPP as c_int)
        }
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_strings(_dev: *mut bindings::net_device, set: u32, data: *mut u8) {
        const LEN: usize = bindings::ETH_GSTRING_LEN as usize;

        if set != bindings::ethtool_stringset_ETH_SS_STATS {
            return;
        }
        for (i, name) in D::COUNTERS.iter().enumerate() {
            let len = name.len().min(LEN - 1);
            // SAFETY: The core hands over zeroed memory for as many strings as `get_sset_count`
            // said, `ETH_GSTRING_LEN` bytes each.
            unsafe { core::ptr::copy_nonoverlapping(name.as_ptr(), data.add(i * LEN), len) };
        }
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_ethtool_stats(
        dev: *mut bindings::net_device,
        _stats: *mut bindings::ethtool_stats,
        data: *mut u64,
    ) {
        // SAFETY: The core hands over zeroed memory for as many values as `get_sset_count` said.
        let values = unsafe { core::slice::from_raw_parts_mut(data, D::COUNTERS.len()) };
        // SAFETY: The core only calls this for a registered device of ours.
        unsafe { Self::of(dev) }.driver.counters(values);
    }

    /// # Safety
    ///
    /// Called by the ethtool core, for a registered network device with a `Private<D>` behind it.
    unsafe extern "C" fn get_link_ksettings(
        dev: *mut bindings::net_device,
        settings: *mut bindings::ethtool_link_ksettings,
    ) -> c_int {
        // SAFETY: The core only calls this for a registered device of ours.
        let link = unsafe { Self::of(dev) }.driver.link();
        // SAFETY: The core hands over a valid structure to fill in.
        let base = unsafe { &mut (*settings).base };
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
        0
    }

    // The core fills in `get_drvinfo` itself, from the names of driver and bus device.
    pub(super) const ETHTOOL_OPS: bindings::ethtool_ops = bindings::ethtool_ops {
        get_link: Some(bindings::ethtool_op_get_link),
        get_ringparam: if D::HAS_RING_SIZES {
            Some(Self::get_ringparam)
        } else {
            None
        },
        // The core warns about a set of strings that is there and empty.
        get_sset_count: match D::COUNTERS {
            [] => None,
            _ => Some(Self::get_sset_count),
        },
        get_strings: match D::COUNTERS {
            [] => None,
            _ => Some(Self::get_strings),
        },
        get_ethtool_stats: match D::COUNTERS {
            [] => None,
            _ => Some(Self::get_ethtool_stats),
        },
        get_link_ksettings: if D::HAS_LINK {
            Some(Self::get_link_ksettings)
        } else {
            None
        },
        ..pin_init::zeroed()
    };
}
