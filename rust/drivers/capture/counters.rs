// SPDX-License-Identifier: GPL-2.0-only

//! The file `counters`: packets and bytes by direction and protocol.

use crate::{
    headers::Header,
    protocol::{
        self,
        Protocol, //
    }, //
};
use kernel::{
    debugfs::Writer,
    fmt,
    prelude::*, //
};
use kit::{
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
type Table = [[Count; protocol::COUNT]; 2];

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

    pub(crate) fn count(&self, header: &Header) {
        let mut table = self.table.lock();
        let count = &mut table[header.direction as usize][protocol::of(header.bytes()) as usize];
        count.packets += 1;
        count.bytes += u64::from(header.len);
    }
}

impl Writer for Counters {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A copy under the lock: packets must not wait until the text is written.
        let table = *self.table.lock();
        writeln!(f, "direction protocol packets bytes")?;
        for (direction, counts) in ["received", "sent"].iter().zip(table) {
            for (protocol, Count { packets, bytes }) in Protocol::ALL.iter().zip(counts) {
                writeln!(f, "{direction} {} {packets} {bytes}", protocol.name())?;
            }
        }
        Ok(())
    }
}
