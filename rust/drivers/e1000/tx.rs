// SPDX-License-Identifier: GPL-2.0-only

//! Transmit: `start_xmit` fills the ring, the poll function empties it.

use crate::{
    desc::{
        Descriptors,
        TxContext,
        TxData,
        TxOffsets, //
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

/// The bytes of a frame that one descriptor covers at most. The card takes 16,288 (3.3.3), but it
/// fetches them whole into its transmit FIFO, which holds what was fetched before, too (3.3.7).
const PER_DESCRIPTOR: usize = 4096;

/// Bytes of the last descriptor of a large send, the sentinel.
///
/// The card reports a descriptor of a large send as done when it has read the first part of its data
/// ("LSO Premature Descriptor Write Back", erratum 1 of Intel's specification update for the 82546GB,
/// whose DMA engine these cards have). The descriptors are served in their order, so all data
/// before the sentinel was read when the sentinel is reported, and its own four bytes are read
/// at once.
const SENTINEL: usize = 4;

/// Number of descriptors of the largest frame that the stack sends: a context, 64 KiB in pieces, and
/// a sentinel. Of n bytes in p pieces, at most p + (n - p) / 4096 descriptors result, so with all
/// pieces in use one of the sixteen is left for the sentinel.
const MAX_DESCRIPTORS: usize = MAX_PIECES + 65536 / PER_DESCRIPTOR + 1;

/// The queue stops when the largest frame would not fit any more.
const STOP_BELOW: usize = MAX_DESCRIPTORS;

/// The queue is woken when this much is free again.
const WAKE_AT: usize = 2 * MAX_DESCRIPTORS;

/// What the two ends share.
struct Ring<'bound> {
    descriptors: Descriptors<'bound>,
    /// The next descriptor to fill; written by `start_xmit`.
    tail: Atomic<usize>,
    /// The next descriptor to take back; written by the poll function.
    clean: Atomic<usize>,
}

impl Ring<'_> {
    /// How many descriptors are free. Head and tail are equal when the ring is empty, so it is
    /// full with one to spare (3.4).
    fn free(&self) -> usize {
        // From the next to fill up to the one before the next to take back.
        let last = self.descriptors.before(self.clean.load(Acquire));
        self.descriptors.between(self.tail.load(Acquire), last)
    }
}

/// A frame on the ring.
struct Entry<'bound> {
    frame: InFlight<'bound>,
    /// The last of its descriptors, the one that reports when all is done.
    last: usize,
}

/// The end that `start_xmit` works on.
pub(crate) struct TxRing<'bound> {
    dev: &'bound Device<Bound>,
    ring: Arc<Ring<'bound>>,
    frames: Producer<Entry<'bound>>,
    tail: usize,
    /// What the card was told of checksums last; it remembers.
    context: Option<(TxOffsets, TxContext)>,
    /// Descriptors were written that the card has not been told of.
    pending: bool,
    /// True if the last frame was a large send. The card may report the next frame too early, too,
    /// if that lies in one piece; Linux's driver in C has found this.
    after_large_send: bool,
}

/// The end that the poll function works on.
pub(crate) struct TxCleaner<'bound> {
    ring: Arc<Ring<'bound>>,
    frames: Consumer<Entry<'bound>>,
}

/// Makes a transmit ring, of which the card knows nothing yet.
pub(crate) fn ring<'bound>(
    dev: &'bound Device<Bound>,
    count: usize,
) -> Result<(TxRing<'bound>, TxCleaner<'bound>)> {
    let ring = Arc::new(
        Ring {
            descriptors: Descriptors::new(dev, count)?,
            tail: Atomic::new(0),
            clean: Atomic::new(0),
        },
        GFP_KERNEL,
    )?;
    let (producer, consumer) = spsc::ring(count, GFP_KERNEL)?;
    Ok((
        TxRing {
            dev,
            ring: ring.clone(),
            frames: producer,
            tail: 0,
            context: None,
            pending: false,
            after_large_send: false,
        },
        TxCleaner {
            ring,
            frames: consumer,
        },
    ))
}

impl<'bound> TxRing<'bound> {
    /// Gives the ring to the card, which begins to serve it.
    pub(crate) fn give(&self, hw: &Hw<'_>) {
        let descriptors = &self.ring.descriptors;
        hw.set_tx_ring(descriptors.dma_addr(), descriptors.bytes());
    }

    /// Sends one frame.
    pub(crate) fn xmit<'a>(
        &mut self,
        hw: &Hw<'_>,
        queue: &TxQueue<'a>,
        skb: TxSkb<'a>,
    ) -> Verdict<'a> {
        if self.ring.free() < STOP_BELOW {
            // The queue should be stopped.
            self.ring_doorbell(hw);
            return skb.busy();
        }
        let Ok(mut skb) = skb.pad_to(ETH_MIN_LEN) else {
            return self.give_up(hw, queue);
        };
        let Ok(offload) = Offload::of(&mut skb) else {
            return self.give_up(hw, queue);
        };
        let tag = skb.vlan_tag();
        let Ok(frame) = TxFrame::new(self.dev, skb) else {
            return self.give_up(hw, queue);
        };
        let Ok(last) = self.fill(&frame, offload, tag) else {
            return self.give_up(hw, queue);
        };
        let (frame, sent) = queue.sent(frame);
        if self.frames.push(Entry { frame, last }).is_err() {
            // There are never more frames than descriptors.
            pr_err!("the transmit ring has lost count\n");
        }
        // To the cleaner this frees nothing; it tells how much is in use.
        self.ring.tail.store(self.tail, Release);
        self.pending = true;

        let doorbell = queue.after_send(sent, || self.ring.free(), STOP_BELOW, WAKE_AT);
        if doorbell == Doorbell::Ring {
            self.ring_doorbell(hw);
        }
        Verdict::TAKEN
    }

    /// The frame is gone already: counts it, and sees to those before it.
    #[cold]
    fn give_up<'a>(&mut self, hw: &Hw<'_>, queue: &TxQueue<'a>) -> Verdict<'a> {
        queue.count_drop();
        self.ring_doorbell(hw);
        Verdict::TAKEN
    }

    /// Writes the descriptors of a frame, and returns the last one's index. There is room for
    /// [`MAX_DESCRIPTORS`].
    #[inline]
    fn fill(
        &mut self,
        frame: &TxFrame<'_>,
        offload: Option<Offload>,
        tag: Option<u16>,
    ) -> Result<usize> {
        let is_large_send = offload.is_some_and(|offload| offload.context.tse());
        let follows = core::mem::replace(&mut self.after_large_send, is_large_send);
        let has_sentinel = is_large_send || (follows && frame.single().is_some());
        let single = frame
            .single()
            .filter(|piece| piece.len <= PER_DESCRIPTOR && !has_sentinel);
        if single.is_none() && Self::count(frame) + 2 > MAX_DESCRIPTORS {
            return Err(EINVAL);
        }

        let mut data = TxData::zeroed()
            .with_const_dtyp::<1>()
            .with_dext(true)
            .with_ifcs(true);
        if let Some(tag) = tag {
            data = data.with_vle(true).with_special(tag);
        }
        if let Some(offload) = offload {
            let context = (offload.offsets, offload.context);
            // For a segmentation the card counts the context's lengths down.
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
            let mut at = 0;
            while at < piece.len {
                let len = next_len(piece.len - at, left, has_sentinel);
                left -= len;
                last = self.push_data(data, piece.addr + at as u64, len, left == 0);
                at += len;
            }
        }
        Ok(last)
    }

    /// How many data descriptors a frame takes.
    fn count(frame: &TxFrame<'_>) -> usize {
        frame
            .pieces()
            .map(|piece| piece.len.div_ceil(PER_DESCRIPTOR))
            .sum()
    }

    /// Writes one data descriptor and returns its index.
    #[inline]
    fn push_data(&mut self, data: TxData, addr: u64, len: usize, end: bool) -> usize {
        // At most `PER_DESCRIPTOR` bytes, so 16 bits will do.
        let data = data
            .with_length(Bounded::<u64, 20>::from(len as u16))
            .with_eop(end)
            .with_rs(end);
        self.push(addr, data.into_raw())
    }

    /// Writes one descriptor and returns its index.
    #[inline]
    fn push(&mut self, first: u64, second: u64) -> usize {
        let index = self.tail;
        self.ring.descriptors.write(index, first, second);
        self.tail = self.ring.descriptors.after(index);
        index
    }

    /// Tells the card of the descriptors that it does not know of yet.
    fn ring_doorbell(&mut self, hw: &Hw<'_>) {
        if self.pending {
            // The card must not see the new tail before the descriptors.
            dma_wmb();
            hw.set_tx_tail(self.tail);
            self.pending = false;
        }
    }
}

/// Returns the number of bytes of the next descriptor, from the numbers that are left of the piece and
/// of the frame.
fn next_len(of_piece: usize, of_frame: usize, has_sentinel: bool) -> usize {
    let len = of_piece.min(PER_DESCRIPTOR);
    if has_sentinel && len == of_frame && len > SENTINEL {
        len - SENTINEL
    } else {
        len
    }
}

/// What the card does to a frame besides sending it: a context descriptor, 3.3.6.
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
            // Too far back for the card.
            skb.fill_in_checksum()?;
            return Ok(None);
        };
        // To the end of the packet: TUCSE is 0.
        let offsets = TxOffsets::zeroed().with_tucss(start).with_tucso(place);
        let context = TxContext::zeroed().with_dext(true);

        let Some(tso) = skb.segmentation()? else {
            return Ok(Some(Self { offsets, context }));
        };
        // The card finds the IP header by IPCSS, to fill its length in. The header's checksum is at
        // byte 10, and covers it up to the TCP header; IP version 6 has none.
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
    /// Takes back the frames that the card has sent. Says whether that woke the queue.
    pub(crate) fn clean(&mut self, poll: &mut Poll<'_>) -> bool {
        let mut completions = poll.completions();
        // Not more than a ring at a time: it is filled on another CPU meanwhile.
        let mut more = true;
        for _ in 0..self.ring.descriptors.count() {
            more = self.is_next_done();
            if !more {
                break;
            }
            let Some(entry) = self.frames.pop() else {
                break;
            };
            completions.complete(entry.frame);
            let next = self.ring.descriptors.after(entry.last);
            self.ring.clean.store(next, Release);
        }
        let woken = completions.finish(|| self.ring.free(), WAKE_AT);
        if more {
            poll.again();
        }
        woken
    }

    fn is_next_done(&self) -> bool {
        self.frames
            .peek()
            .is_some_and(|entry| TxData::from(self.ring.descriptors.read(entry.last)).dd())
    }
}
