// SPDX-License-Identifier: GPL-2.0-only

//! What `ip -s link` shows: the frames that the kit has counted, and what the device counts.
//!
//! C header: [`include/uapi/linux/if_link.h`](srctree/include/uapi/linux/if_link.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::bindings;

/// Counts of a device, from the beginning on. They are added to what the kit counts itself, where a
/// frame is received, completed or dropped.
#[derive(Clone, Copy, Default)]
pub struct DeviceCounts {
    /// Multicast frames received.
    pub multicast: u64,
    /// Collisions.
    pub collisions: u64,
    /// Bad frames received, of all kinds.
    pub rx_errors: u64,
    /// Of these, frames of a wrong length.
    pub rx_length_errors: u64,
    /// Of these, frames with a wrong checksum.
    pub rx_crc_errors: u64,
    /// Of these, frames that ended in the middle of a byte.
    pub rx_frame_errors: u64,
    /// Frames that the device had no room for.
    pub rx_missed_errors: u64,
    /// Frames that could not be sent, of all kinds.
    pub tx_errors: u64,
    /// Of these, frames given up after too many collisions.
    pub tx_aborted_errors: u64,
    /// Of these, frames that lost the carrier.
    pub tx_carrier_errors: u64,
    /// Of these, frames with a collision too late.
    pub tx_window_errors: u64,
}

impl<D: Driver> Private<D> {
    /// # Safety
    ///
    /// Called by the core, for a registered device with a `Private<D>` behind it, with zeroed memory
    /// for the result.
    pub(super) unsafe extern "C" fn ndo_get_stats64(
        dev: *mut bindings::net_device,
        sums: *mut bindings::rtnl_link_stats64,
    ) {
        // SAFETY: The device is valid, and counts per CPU as `netdev_use_dstats` has it.
        unsafe { bindings::dev_get_dstats64(dev, sums) };
        // SAFETY: The core only calls this for a registered device of ours, with a valid structure.
        let (driver, sums) = unsafe { (&Self::of(dev).driver, &mut *sums) };
        let own = driver.counts();
        sums.multicast += own.multicast;
        sums.collisions += own.collisions;
        sums.rx_errors += own.rx_errors;
        sums.rx_length_errors += own.rx_length_errors;
        sums.rx_crc_errors += own.rx_crc_errors;
        sums.rx_frame_errors += own.rx_frame_errors;
        sums.rx_missed_errors += own.rx_missed_errors;
        sums.tx_errors += own.tx_errors;
        sums.tx_aborted_errors += own.tx_aborted_errors;
        sums.tx_carrier_errors += own.tx_carrier_errors;
        sums.tx_window_errors += own.tx_window_errors;
    }
}
