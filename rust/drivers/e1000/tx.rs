// SPDX-License-Identifier: GPL-2.0-only

//! Transmit ring, filled by `start_xmit` and emptied by the poll function.

use crate::{
    chip::Chip,
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
        Features,
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

/// Smallest number of bytes of a segment that the card is to cut. Before it reads a descriptor's data
/// it looks for room in the transmit FIFO, and counts the headers of a few segments (13.4.45): of
/// four, says the driver in C (`e1000_xmit_frame`). With more segments in a descriptor the FIFO could
/// overrun.
const LEAST_SEGMENT: u32 = (PER_DESCRIPTOR / 4) as u32;

/// Largest number of bytes of a frame's first descriptor on PCI-X, where the card loses what it
/// reads, and hangs, if its buffer for reads is full at the wrong moment (erratum 10 of Intel's
/// specification update for the 82546GB, 32 of that for the 82545EM). The driver in C has it for
/// all controllers.
const FIRST_ON_PCIX: usize = 2015;

/// Number of bytes of the last descriptor of a large send, the sentinel.
///
/// The card reports a descriptor of a large send as done when it has read the first part of the data
/// (erratum 1, "LSO Premature Descriptor Write Back", of Intel's specification update for the 82546GB,
/// of the same family). Descriptors are served in their order, and four bytes are read at once. So
/// when the sentinel is reported, all data of the frame was read.
const SENTINEL: usize = 4;

/// Number of descriptors of the largest frame that the stack sends: a context, 64 KiB in pieces,
/// one more for a smaller first one, and a sentinel. Of n bytes in p pieces, at most p + (n - p) /
/// 4096 descriptors result, so with all pieces in use one of the sixteen is left for the sentinel.
const MAX_DESCRIPTORS: usize = MAX_PIECES + 65536 / PER_DESCRIPTOR + 2;

/// Number of free descriptors below which the queue is stopped: the largest frame does not fit.
const STOP_BELOW: usize = MAX_DESCRIPTORS;

/// Number of free descriptors at which a stopped queue is woken. The smallest ring has them
/// (`desc::MIN`).
pub(crate) const WAKE_AT: usize = 2 * MAX_DESCRIPTORS;

/// Returns those of `features` that the card has for a frame: the stack cuts it into segments that
/// are too small for the card.
#[inline]
pub(crate) fn possible(skb: &Skb, features: Features) -> Features {
    if skb.segment_size().wrapping_sub(1) < LEAST_SEGMENT - 1 {
        features.without(Features::TCP_SEGMENTATION)
    } else {
        features
    }
}

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
        // From the next to fill up to the one before the next to free.
        let last = self.descriptors.before(self.clean.load(Acquire));
        self.descriptors.between(self.tail.load(Acquire), last)
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
    /// True if the last frame was a large send. The next one needs a sentinel, too, if it lies in one
    /// piece; the driver in C names this part of the erratum.
    after_large_send: bool,
    /// Largest number of bytes of a frame's first descriptor.
    first_limit: usize,
    /// True if the memory of a descriptor must not end in the first half of eight bytes.
    avoids_first_halves: bool,
}

/// The end of the ring for the poll function.
pub(crate) struct TxCleaner<'bound> {
    ring: Arc<Ring<'bound>>,
    frames: Consumer<Entry<'bound>>,
}

/// Allocates a ring. Does not access the card.
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
            first_limit: PER_DESCRIPTOR,
            avoids_first_halves: false,
        },
        TxCleaner {
            ring,
            frames: consumer,
        },
    ))
}

impl<'bound> TxRing<'bound> {
    /// Gives the ring to the card, and switches its transmitter on.
    pub(crate) fn give(&mut self, hw: &Hw<'_>) {
        self.avoids_first_halves = hw.avoids_first_halves();
        self.first_limit = if hw.is_on_pcix() {
            FIRST_ON_PCIX
        } else {
            PER_DESCRIPTOR
        };
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
            // Not expected: the queue is stopped then.
            self.ring_doorbell(hw);
            return skb.busy();
        }
        let Ok(mut skb) = skb.pad_to(ETH_MIN_LEN) else {
            return self.give_up(hw, queue);
        };
        let Ok(offload) = Offload::of(&mut skb, hw.chip) else {
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
            // Not expected: there are at least as many entries as descriptors.
            pr_err!("the transmit ring has lost count\n");
        }
        // Orders the push before the cleaner's read of the tail.
        self.ring.tail.store(self.tail, Release);
        self.pending = true;

        let doorbell = queue.after_send(sent, || self.ring.free(), STOP_BELOW, WAKE_AT);
        if doorbell == Doorbell::Ring {
            self.ring_doorbell(hw);
        }
        Verdict::TAKEN
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
    fn fill(
        &mut self,
        frame: &TxFrame<'_>,
        offload: Option<Offload>,
        tag: Option<u16>,
    ) -> Result<usize> {
        let is_large_send = offload.is_some_and(|offload| offload.context.tse());
        let has_sentinel = is_large_send || (self.after_large_send && frame.single().is_some());
        let single = frame
            .single()
            .filter(|piece| piece.len <= self.first_limit && !has_sentinel);
        if single.is_none() && self.most(frame) > MAX_DESCRIPTORS {
            return Err(EINVAL);
        }
        self.after_large_send = is_large_send;

        let mut data = TxData::zeroed()
            .with_const_dtyp::<1>()
            .with_dext(true)
            .with_ifcs(true);
        if let Some(tag) = tag {
            data = data.with_vle(true).with_special(tag);
        }
        if let Some(offload) = offload {
            let context = (offload.offsets, offload.context);
            // The card counts the lengths of a context down when it does segmentation. No report is
            // requested, since that could hang the card (erratum 22 of Intel's specification update
            // for the 82545EM).
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
        let mut limit = self.first_limit;
        for piece in frame.pieces() {
            let mut at = 0;
            while at < piece.len {
                let len = next_len((piece.len - at).min(limit), left, has_sentinel);
                limit = PER_DESCRIPTOR;
                left -= len;
                last = self.push_data(data, piece.addr + at as u64, len, left == 0);
                at += len;
            }
        }
        Ok(last)
    }

    /// Returns the largest number of descriptors that a frame can need: a context, its data, and a
    /// sentinel. Each of the data can be cut in two.
    fn most(&self, frame: &TxFrame<'_>) -> usize {
        let data: usize = frame
            .pieces()
            .map(|piece| piece.len.div_ceil(PER_DESCRIPTOR))
            .sum();
        let data = data + usize::from(self.first_limit < PER_DESCRIPTOR) + 1;
        1 + if self.avoids_first_halves {
            2 * data
        } else {
            data
        }
    }

    /// Writes a data descriptor, or two where one would end at the wrong place, and returns the index
    /// of the last one.
    #[inline]
    fn push_data(&mut self, data: TxData, addr: u64, len: usize, end: bool) -> usize {
        if self.avoids_first_halves {
            let first = before_first_half(addr, len);
            if first != 0 {
                self.push_whole(data, addr, first, false);
                return self.push_whole(data, addr + first as u64, len - first, end);
            }
        }
        self.push_whole(data, addr, len, end)
    }

    /// Writes a data descriptor and returns its index.
    #[inline]
    fn push_whole(&mut self, data: TxData, addr: u64, len: usize, end: bool) -> usize {
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
        self.tail = self.ring.descriptors.after(index);
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

/// Returns the number of bytes of a first descriptor, of two, if one would end in the first half of
/// eight bytes; 0 if one is enough. Four bytes may end anywhere.
fn before_first_half(addr: u64, len: usize) -> usize {
    let ends_in_first_half = addr.wrapping_add(len as u64).wrapping_sub(1) & 4 == 0;
    if ends_in_first_half && len > 4 {
        len - 4
    } else {
        0
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
    fn of(skb: &mut Skb, chip: &Chip) -> Result<Option<Self>> {
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
        if chip.is_choosy && skb.head_len() == tso.headers {
            // The headers, and some data behind them, in one piece.
            skb.header_mut(skb.len().min(tso.headers.saturating_add(4)))?;
        }
        // IPCSS is the place of the IP header, whose length the card fills in. The checksum of the
        // header is at byte 10 and covers it up to the TCP header; IPv6 has none.
        let ipcss = u8::try_from(tso.network)?;
        let offsets = offsets.with_ipcss(ipcss);
        let offsets = if tso.ipv6 {
            offsets
        } else {
            offsets
                .with_ipcso(ipcss.checked_add(10).ok_or(EINVAL)?)
                .with_ipcse(u16::try_from(tso.transport.wrapping_sub(1))?)
        };
        let context = context
            .with_tse(true)
            .with_tcp(true)
            .with_ip(!tso.ipv6)
            .with_mss(u16::try_from(tso.mss)?)
            .with_hdrlen(u8::try_from(tso.headers)?)
            .with_paylen(
                Bounded::<u64, 20>::try_new(skb.len().wrapping_sub(tso.headers).into())
                    .ok_or(EINVAL)?,
            );
        Ok(Some(Self { offsets, context }))
    }
}

impl TxCleaner<'_> {
    /// Takes back the sent frames. Returns their number, and true if that woke the queue.
    pub(crate) fn clean(&mut self, poll: &mut Poll<'_>) -> (u32, bool) {
        let mut completions = poll.completions();
        // At most one ring of them, since another CPU may fill it at the same time.
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
        let count = completions.count();
        let woken = completions.finish(|| self.ring.free(), WAKE_AT);
        if more {
            poll.again();
        }
        (count, woken)
    }

    fn is_next_done(&self) -> bool {
        self.frames
            .peek()
            .is_some_and(|entry| TxData::from(self.ring.descriptors.read(entry.last)).dd())
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_tx)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptor_of_a_large_send_is_its_sentinel() {
        for (of_piece, of_frame, has_sentinel, len) in [
            (60, 60, false, 60),
            (60, 60, true, 56),
            (4, 4, true, 4),
            (1000, 3000, true, 1000),
            (5000, 5000, false, 4096),
            (5000, 5000, true, 4096),
            (4096, 4096, true, 4092),
            (4100, 4100, true, 4096),
        ] {
            assert_eq!(next_len(of_piece, of_frame, has_sentinel), len);
        }
    }

    #[test]
    fn all_bytes_of_a_frame_are_in_a_descriptor_and_at_most_so_many() {
        for len in [1usize, 4, 5, 4095, 4096, 4097, 8192, 16110, 65536] {
            let (mut left, mut count) = (len, 0);
            while left != 0 {
                let part = next_len(left, left, true);
                assert!(part != 0 && part <= left);
                left -= part;
                count += 1;
            }
            assert!(count <= len.div_ceil(PER_DESCRIPTOR) + 1);
        }
    }

    #[test]
    fn no_descriptor_of_more_than_four_bytes_ends_in_a_first_half() {
        for (addr, len, first) in [
            (0x1000, 1, 0),
            (0x1000, 4, 0),
            (0x1000, 5, 0),
            (0x1000, 8, 0),
            (0x1000, 9, 5),
            (0x1000, 60, 56),
            (0x1004, 60, 0),
            (0x1002, 60, 0),
            (0x1007, 4096, 0),
            (0x1001, 4096, 4092),
        ] {
            assert_eq!(before_first_half(addr, len), first);
            for (at, size) in [(addr, first), (addr + first as u64, len - first)] {
                assert!(size <= 4 || (at + size as u64 - 1) & 4 != 0);
            }
        }
    }
}
