// SPDX-License-Identifier: GPL-2.0-only

//! The file `headers`: the beginnings of the last packets, the oldest first. A line has a packet's
//! number, direction, length and first bytes.

use kernel::{
    debugfs::Writer,
    fmt,
    prelude::*, //
};
use kit::{
    capture::{
        Direction,
        Frame, //
    },
    lock::SpinLockBh,
    new_spinlock_bh, //
};

/// Number of packets kept.
const KEPT: u64 = 256;
/// Number of bytes kept of each packet.
const SNAP: usize = 64;

/// The beginning of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) direction: Direction,
    pub(crate) len: u32,
    kept: usize,
    data: [u8; SNAP],
}

impl Header {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        let mut data = [0; SNAP];
        Self {
            direction: frame.direction(),
            len: frame.len(),
            kept: frame.copy_to(&mut data),
            data,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[..self.kept]
    }
}

/// The last packets: number `n` lies at place `n % KEPT`.
struct Ring {
    next: u64,
    packets: KVec<Header>,
}

/// The kept packets, with the number of all.
#[pin_data]
pub(crate) struct Headers {
    #[pin]
    ring: SpinLockBh<Ring>,
}

impl Headers {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ring <- new_spinlock_bh!(Ring {
                next: 0,
                packets: KVec::with_capacity(KEPT as usize, GFP_KERNEL)?,
            }),
        }? Error)
    }

    pub(crate) fn keep(&self, header: Header) {
        let mut ring = self.ring.lock();
        let place = (ring.next % KEPT) as usize;
        ring.next += 1;
        match ring.packets.get_mut(place) {
            Some(old) => *old = header,
            // The vector has room for all: this push allocates nothing, and cannot fail.
            None => drop(ring.packets.push_within_capacity(header)),
        }
    }

    /// Packet `number`, if it is still kept.
    fn get(&self, number: u64) -> Option<Header> {
        let ring = self.ring.lock();
        let there = number < ring.next && number + KEPT >= ring.next;
        there
            .then(|| ring.packets.get((number % KEPT) as usize).copied())
            .flatten()
    }
}

impl Writer for Headers {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.ring.lock().next;
        for number in next.saturating_sub(KEPT)..next {
            // The lock is taken for one packet at a time: packets must not wait for the whole text.
            let Some(header) = self.get(number) else {
                continue;
            };
            let direction = match header.direction {
                Direction::Received => "received",
                Direction::Sent => "sent",
            };
            write!(f, "{number} {direction} {} ", header.len)?;
            for byte in header.bytes() {
                write!(f, "{byte:02x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
