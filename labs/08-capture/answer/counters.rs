// SPDX-License-Identifier: GPL-2.0-only

//! The file `counters`: packets and bytes by direction and protocol.

use crate::protocol::Protocol;
use kernel::{
    debugfs::Writer,
    fmt,
    prelude::*, //
};
use kit::{
    capture::Direction,
    lock::SpinLockBh,
    new_spinlock_bh, //
};

/// Packets and bytes.
#[derive(Clone, Copy, Default)]
struct Count {
    packets: u64,
    bytes: u64,
}

/// Counts by direction and protocol.
#[derive(Default)]
struct Table([[Count; Protocol::ALL.len()]; 2]);

// --- starter
//| // YOURS (leaves): when the table is dropped, print `captured N packets` with the number of all
//| // counted.
// --- answer
impl Drop for Table {
    fn drop(&mut self) {
        let counts = self.0.as_flattened();
        let packets: u64 = counts.iter().map(|count| count.packets).sum();
        pr_info!("captured {packets} packets\n");
    }
}
// --- end

/// Counts since the module was loaded.
#[pin_data]
pub(crate) struct Counters {
    #[pin]
    table: SpinLockBh<Table>,
}

impl Counters {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            table <- new_spinlock_bh!(Table::default()),
        }? Error)
    }

    /// Counts a frame of that many bytes.
    // --- starter
    //| pub(crate) fn count(&self, _direction: Direction, _protocol: Protocol, _bytes: u32) {
    //|     // YOURS (counts): add the frame to the table, at `[direction as usize][protocol as usize]`.
    //| }
    // --- answer
    pub(crate) fn count(&self, direction: Direction, protocol: Protocol, bytes: u32) {
        let mut table = self.table.lock();
        let count = &mut table.0[direction as usize][protocol as usize];
        count.packets += 1;
        count.bytes += u64::from(bytes);
    }
    // --- end
}

impl Writer for Counters {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A copy under the lock: packets must not wait until the text is written.
        let table = self.table.lock().0;
        writeln!(f, "direction protocol packets bytes")?;
        for (direction, counts) in ["received", "sent"].iter().zip(table) {
            for (protocol, Count { packets, bytes }) in Protocol::ALL.iter().zip(counts) {
                writeln!(f, "{direction} {} {packets} {bytes}", protocol.name())?;
            }
        }
        Ok(())
    }
}
