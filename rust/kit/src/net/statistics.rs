// SPDX-License-Identifier: GPL-2.0-only

//! Statistics of `ip -s link`: frames that the kit has counted, and counts of the device.
//!
//! C header: [`include/uapi/linux/if_link.h`](srctree/include/uapi/linux/if_link.h)

use super::{
    driver::Driver,
    private::Private, //
};
use crate::bindings;

/// Counts of a device since it was registered. Frames that are received, completed or dropped by
/// methods of this module are counted by those, and must not be among these counts.
#[derive(Clone, Copy, Default)]
pub struct DeviceCounts {
    /// Multicast frames received.
    pub multicast: u64,
    /// Collisions.
    pub collisions: u64,
    /// Bad frames received, of all kinds together.
    pub rx_errors: u64,
    /// Bad frames received: wrong length.
    pub rx_length_errors: u64,
    /// Bad frames received: wrong checksum.
    pub rx_crc_errors: u64,
    /// Bad frames received: number of bits not a multiple of 8.
    pub rx_frame_errors: u64,
    /// Frames lost for want of room in the device or on the ring.
    pub rx_missed_errors: u64,
    /// Frames that could not be transmitted, of all kinds together.
    pub tx_errors: u64,
    /// Frames not transmitted: too many collisions.
    pub tx_aborted_errors: u64,
    /// Frames not transmitted: carrier lost.
    pub tx_carrier_errors: u64,
    /// Frames not transmitted: late collision.
    pub tx_window_errors: u64,
}

impl<D: Driver> Private<D> {
    /// Stores the statistics.
    ///
    /// Context: possibly atomic; the RTNL lock, RCU, or other locks are held. Must not sleep.
    ///
    /// # Safety
    ///
    /// `dev` is registered, with a `Private<D>` behind it, and `sums` is valid and zeroed.
    pub(super) unsafe extern "C" fn ndo_get_stats64(
        dev: *mut bindings::net_device,
        sums: *mut bindings::rtnl_link_stats64,
    ) {
        // SAFETY: The device is valid, and has counters per CPU by `netdev_use_dstats`.
        unsafe { bindings::dev_get_dstats64(dev, sums) };
        // SAFETY: As required of the caller.
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
