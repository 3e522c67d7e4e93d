// SPDX-License-Identifier: GPL-2.0-only

//! Transmit ring, filled by `start_xmit` and emptied by the poll function.

use crate::{
    desc::{
        Descriptors,
        TxContext,
        TxData,
        TxOffsets,
        BYTES,
        COUNT, //
    },
    hw::Hw, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    num::Bounded,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    }, //
};
use kit::{
    barrier::dma_wmb,
    dma::{
        TxFrame,
        MAX_PIECES, //
    },
    net::{
        Doorbell,
        InFlight,
        Poll,
        TxQueue,
        ETH_MIN_LEN, //
    },
    skb::{
        Skb,
        TxSkb,
        Verdict, //
    },
    spsc::{
        self,
        Consumer,
        Producer, //
    }, //
};

/// Largest number of bytes of a descriptor. The card supports 16,288 (3.3.3), but has to have room
/// for all of them in its transmit FIFO, beside data of earlier descriptors (13.4.45).
const PER_DESCRIPTOR: usize = 4096;

/// Number of descriptors of the largest frame that the stack sends: a context, and 64 KiB in pieces.
const MAX_DESCRIPTORS: usize = MAX_PIECES + 65536 / PER_DESCRIPTOR + 1;

/// Number of free descriptors below which the queue is stopped: the largest frame does not fit.
const STOP_BELOW: usize = MAX_DESCRIPTORS;

/// Number of free descriptors at which a stopped queue is woken. The smallest ring has them
/// (`desc::MIN`).
pub(crate) const WAKE_AT: usize = 2 * MAX_DESCRIPTORS;

/// State that both ends of the ring share.
struct Ring<'bound> {
    descriptors: Descriptors<'bound>,
    /// Next descriptor to fill; written by `start_xmit`.
    tail: Atomic<usize>,
    /// Next descriptor to free; written by the poll function.
    clean: Atomic<usize>,
}

impl Ring<'_> {
    /// Returns the number of free descriptors. One descriptor is always unused, since head and tail
    /// are equal when the ring is empty (3.4).
    fn free(&self) -> usize {
        let used = self
            .tail
            .load(Acquire)
            .wrapping_sub(self.clean.load(Acquire))
            % COUNT;
        COUNT - 1 - used
    }
}

/// A frame on the ring.
struct Entry<'bound> {
    frame: InFlight<'bound>,
    /// Index of its last descriptor, which the card reports.
    last: usize,
}

/// The end of the ring for `start_xmit`.
pub(crate) struct TxRing<'bound> {
    dev: &'bound Device<Bound>,
    ring: Arc<Ring<'bound>>,
    frames: Producer<Entry<'bound>>,
    tail: usize,
    /// Last context descriptor, which the card keeps.
    context: Option<(TxOffsets, TxContext)>,
    /// True if descriptors were written since the last write of the tail register.
    pending: bool,
}

/// The end of the ring for the poll function.
pub(crate) struct TxCleaner<'bound> {
    ring: Arc<Ring<'bound>>,
    frames: Consumer<Entry<'bound>>,
}

/// Allocates a ring and gives it to the card, which begins to serve it.
pub(crate) fn ring<'bound>(
    dev: &'bound Device<Bound>,
    hw: &Hw<'_>,
) -> Result<(TxRing<'bound>, TxCleaner<'bound>)> {
    // YOURS (rings): the ring's memory, as in rx.rs.
    let descriptors: Descriptors<'_> = return Err(ENXIO);
    let ring = Arc::new(
        Ring {
            descriptors,
            tail: Atomic::new(0),
            clean: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    let (producer, consumer) = spsc::ring(COUNT, GFP_KERNEL)?;
    hw.set_tx_ring(ring.descriptors.dma_addr(), BYTES);
    Ok((
        TxRing {
            dev,
            ring: ring.clone(),
            frames: producer,
            tail: 0,
            context: None,
            pending: false,
        },
        TxCleaner {
            ring,
            frames: consumer,
        },
    ))
}

impl<'bound> TxRing<'bound> {
    /// Sends one frame.
    pub(crate) fn xmit<'a>(
        &mut self,
        hw: &Hw<'_>,
        queue: &TxQueue<'a>,
        skb: TxSkb<'a>,
    ) -> Verdict<'a> {
        // YOURS (transmit), 1: with less than `STOP_BELOW` descriptors free, ring the doorbell and
        // hand the frame back: `skb.busy()`. Nothing may have been done to it before.
        //
        // 2: pad it to `ETH_MIN_LEN`. From here on it is ours: what fails ends in `self.give_up`.
        let mut skb = skb.take();
        let Ok(offload) = Offload::of(&mut skb) else {
            return self.give_up(hw, queue);
        };
        // 3: map it (`TxFrame::new`), and write its descriptors (`self.fill`).
        //
        // 4: tell BQL (`queue.sent`), and push the `Entry`, which owns the frame while the card
        // reads it. Then let the cleaner know: `self.ring.tail`, and `self.pending = true`.
        //
        // 5: `queue.after_send` stops the queue when the ring runs full, and says whether the
        // doorbell is to be rung.
        self.give_up(hw, queue)
    }

    /// Counts a frame as dropped, and notifies the card of those before it.
    #[cold]
    fn give_up<'a>(&mut self, hw: &Hw<'_>, queue: &TxQueue<'a>) -> Verdict<'a> {
        queue.count_drop();
        self.ring_doorbell(hw);
        Verdict::TAKEN
    }

    /// Writes the descriptors of a frame and returns the index of the last one. The caller has
    /// checked that [`MAX_DESCRIPTORS`] are free.
    #[inline]
    fn fill(&mut self, frame: &TxFrame<'_>, offload: Option<Offload>) -> Result<usize> {
        let single = frame.single().filter(|piece| piece.len <= PER_DESCRIPTOR);
        if single.is_none() && Self::count(frame) + 1 > MAX_DESCRIPTORS {
            return Err(EINVAL);
        }

        let mut data = TxData::zeroed()
            .with_const_dtyp::<1>()
            .with_dext(true)
            .with_ifcs(true);
        if let Some(offload) = offload {
            let context = (offload.offsets, offload.context);
            // The card counts the lengths of a context down when it does segmentation.
            if offload.context.tse() || self.context != Some(context) {
                self.push(context.0.into_raw(), context.1.into_raw());
                self.context = Some(context);
            }
            data = data
                .with_txsm(true)
                .with_ixsm(offload.context.ip())
                .with_tse(offload.context.tse());
        }

        if let Some(piece) = single {
            return Ok(self.push_data(data, piece.addr, piece.len, true));
        }
        let mut last = self.tail;
        let mut left = frame.len() as usize;
        for piece in frame.pieces() {
            for at in (0..piece.len).step_by(PER_DESCRIPTOR) {
                let len = (piece.len - at).min(PER_DESCRIPTOR);
                left -= len;
                last = self.push_data(data, piece.addr + at as u64, len, left == 0);
            }
        }
        Ok(last)
    }

    /// Returns the number of data descriptors of a frame.
    fn count(frame: &TxFrame<'_>) -> usize {
        frame
            .pieces()
            .map(|piece| piece.len.div_ceil(PER_DESCRIPTOR))
            .sum()
    }

    /// Writes a data descriptor and returns its index.
    #[inline]
    fn push_data(&mut self, data: TxData, addr: u64, len: usize, end: bool) -> usize {
        // At most `PER_DESCRIPTOR` bytes, which fit into 16 bits.
        let data = data
            .with_length(Bounded::<u64, 20>::from(len as u16))
            .with_eop(end)
            .with_rs(end);
        self.push(addr, data.into_raw())
    }

    /// Writes a descriptor and returns its index.
    #[inline]
    fn push(&mut self, first: u64, second: u64) -> usize {
        let index = self.tail;
        self.ring.descriptors.write(index, first, second);
        self.tail = (index + 1) % COUNT;
        index
    }

    /// Notifies the card of new descriptors, if there are any.
    fn ring_doorbell(&mut self, hw: &Hw<'_>) {
        if self.pending {
            // The card must not see the new tail before the descriptors.
            dma_wmb();
            hw.set_tx_tail(self.tail);
            self.pending = false;
        }
    }
}

/// Checksum and segmentation of a frame: the contents of a context descriptor, 3.3.6.
#[derive(Clone, Copy)]
struct Offload {
    offsets: TxOffsets,
    context: TxContext,
}

impl Offload {
    #[inline]
    fn of(skb: &mut Skb) -> Result<Option<Self>> {
        let Some(checksum) = skb.checksum() else {
            return Ok(None);
        };
        let (Ok(start), Ok(place)) = (u8::try_from(checksum.start), u8::try_from(checksum.place))
        else {
            // Beyond the 8 bits that the descriptor has for offsets.
            skb.fill_in_checksum()?;
            return Ok(None);
        };
        // TUCSE = 0: the checksum covers the rest of the packet.
        let offsets = TxOffsets::zeroed().with_tucss(start).with_tucso(place);
        let context = TxContext::zeroed().with_dext(true);

        let Some(tso) = skb.segmentation()? else {
            return Ok(Some(Self { offsets, context }));
        };
        // IPCSS is the place of the IP header, whose length the card fills in. The checksum of the
        // header is at byte 10 and covers it up to the TCP header; IPv6 has none.
        let offsets = offsets.with_ipcss(u8::try_from(tso.network)?);
        let offsets = if tso.ipv6 {
            offsets
        } else {
            offsets
                .with_ipcso(u8::try_from(tso.network + 10)?)
                .with_ipcse(u16::try_from(tso.transport - 1)?)
        };
        let context = context
            .with_tse(true)
            .with_tcp(true)
            .with_ip(!tso.ipv6)
            .with_mss(u16::try_from(tso.mss)?)
            .with_hdrlen(u8::try_from(tso.headers)?)
            .with_paylen(
                Bounded::<u64, 20>::try_new(u64::from(skb.len() - tso.headers)).ok_or(EINVAL)?,
            );
        Ok(Some(Self { offsets, context }))
    }
}

impl TxCleaner<'_> {
    /// Takes back the sent frames. Returns true if that woke the queue.
    pub(crate) fn clean(&mut self, poll: &mut Poll<'_>) -> bool {
        let mut completions = poll.completions();
        // At most one ring of them, since another CPU may fill it at the same time.
        let mut more = true;
        for _ in 0..COUNT {
            more = self.is_next_done();
            if !more {
                break;
            }
            let Some(entry) = self.frames.pop() else {
                break;
            };
            completions.complete(entry.frame);
            // YOURS (transmit): up to and with `entry.last`, the descriptors are free.
        }
        let woken = completions.finish(|| self.ring.free(), WAKE_AT);
        if more {
            poll.again();
        }
        woken
    }

    fn is_next_done(&self) -> bool {
        // YOURS (transmit): whether the oldest frame (`self.frames.peek()`) has been sent: the card
        // has set DD in its last descriptor.
        false
    }
}
