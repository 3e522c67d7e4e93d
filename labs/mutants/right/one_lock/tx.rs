// SPDX-License-Identifier: GPL-2.0-only

//! Transmit ring, filled by `start_xmit` and emptied by the poll function, under one lock.

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
    sync::Arc, //
};
use kit::{
    barrier::dma_wmb,
    dma::{
        TxFrame,
        MAX_PIECES, //
    },
    lock::SpinLockBh,
    net::{
        Doorbell,
        InFlight,
        Poll,
        TxQueue,
        ETH_MIN_LEN, //
    },
    new_spinlock_bh,
    skb::{
        Skb,
        TxSkb,
        Verdict, //
    }, //
};

/// Largest number of bytes of a descriptor. The card supports 16,288 (3.3.3), but has to have room
/// for all of them in its transmit FIFO, beside data of earlier descriptors (3.3.7).
const PER_DESCRIPTOR: usize = 4096;

/// Number of descriptors of the largest frame that the stack sends: a context, and 64 KiB in pieces.
const MAX_DESCRIPTORS: usize = MAX_PIECES + 65536 / PER_DESCRIPTOR + 1;

/// Number of free descriptors below which the queue is stopped: the largest frame does not fit.
const STOP_BELOW: usize = MAX_DESCRIPTORS;

/// Number of free descriptors at which a stopped queue is woken.
const WAKE_AT: usize = 2 * MAX_DESCRIPTORS;

/// The ring.
#[pin_data]
struct Ring<'bound> {
    descriptors: Descriptors<'bound>,
    #[pin]
    state: SpinLockBh<State<'bound>>,
}

struct State<'bound> {
    /// Frames by the index of their last descriptor.
    frames: KVec<Option<InFlight<'bound>>>,
    /// Next descriptor to fill.
    tail: usize,
    /// Next descriptor to free.
    clean: usize,
    /// Number of descriptors between the two.
    used: usize,
    /// Number of descriptors of the ring.
    count: usize,
}

impl State<'_> {
    /// Returns the number of free descriptors. One descriptor is always unused, since head and tail
    /// are equal when the ring is empty (3.4).
    fn free(&self) -> usize {
        self.count - 1 - self.used
    }
}

/// The end of the ring for `start_xmit`.
pub(crate) struct TxRing<'bound> {
    dev: &'bound Device<Bound>,
    ring: Arc<Ring<'bound>>,
    tail: usize,
    /// Last context descriptor, which the card keeps.
    context: Option<(TxOffsets, TxContext)>,
}

/// The end of the ring for the poll function.
pub(crate) struct TxCleaner<'bound> {
    ring: Arc<Ring<'bound>>,
}

/// Allocates a ring. Does not access the card.
pub(crate) fn ring<'bound>(
    dev: &'bound Device<Bound>,
    count: usize,
) -> Result<(TxRing<'bound>, TxCleaner<'bound>)> {
    let descriptors = Descriptors::new(dev, count)?;
    let mut frames = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        frames.push(None, GFP_KERNEL)?;
    }
    let state = State {
        frames,
        tail: 0,
        clean: 0,
        used: 0,
        count,
    };
    let ring = Arc::pin_init(
        pin_init!(Ring {
            descriptors,
            state <- new_spinlock_bh!(state),
        }),
        GFP_KERNEL,
    )?;
    Ok((
        TxRing {
            dev,
            ring: ring.clone(),
            tail: 0,
            context: None,
        },
        TxCleaner { ring },
    ))
}

impl<'bound> TxRing<'bound> {
    /// Gives the ring to the card, and switches its transmitter on.
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
        let ring = self.ring.clone();
        let mut state = ring.state.lock();
        if state.free() < STOP_BELOW {
            // Not expected: the queue is stopped then.
            return skb.busy();
        }
        let Ok(mut skb) = skb.pad_to(ETH_MIN_LEN) else {
            return self.give_up(queue);
        };
        let Ok(offload) = Offload::of(&mut skb) else {
            return self.give_up(queue);
        };
        let Ok(frame) = TxFrame::new(self.dev, skb) else {
            return self.give_up(queue);
        };
        let Ok(last) = self.fill(&frame, offload) else {
            return self.give_up(queue);
        };
        let (frame, sent) = queue.sent(frame);
        if let Some(slot) = state.frames.get_mut(last) {
            *slot = Some(frame);
        }
        state.used += self.ring.descriptors.between(state.tail, self.tail);
        state.tail = self.tail;

        // Told at once, whether more frames come or not.
        let (Doorbell::Ring | Doorbell::Wait) =
            queue.after_send(sent, || state.free(), STOP_BELOW, WAKE_AT);
        dma_wmb();
        hw.set_tx_tail(self.tail);
        Verdict::TAKEN
    }

    /// The frame is gone already: counts it.
    #[cold]
    fn give_up<'a>(&mut self, queue: &TxQueue<'a>) -> Verdict<'a> {
        queue.count_drop();
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
        self.tail = self.ring.descriptors.after(index);
        index
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
    /// Takes back the sent frames. Returns their number, and true if that woke the queue.
    pub(crate) fn clean(&mut self, poll: &mut Poll<'_>) -> (u32, bool) {
        let mut completions = poll.completions();
        let mut state = self.ring.state.lock();
        // The descriptors of a frame before its last one are not reported (RS), so look for the next
        // that has a frame.
        let mut look = 0;
        while look < state.used {
            let last = (state.clean + look) % state.count;
            look += 1;
            if !state.frames.get(last).is_some_and(Option::is_some) {
                continue;
            }
            if !TxData::from(self.ring.descriptors.read(last)).dd() {
                break;
            }
            if let Some(frame) = state.frames.get_mut(last).and_then(Option::take) {
                completions.complete(frame);
            }
            state.used -= look;
            state.clean = self.ring.descriptors.after(last);
            look = 0;
        }
        let count = completions.count();
        (count, completions.finish(|| state.free(), WAKE_AT))
    }
}
