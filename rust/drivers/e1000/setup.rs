// SPDX-License-Identifier: GPL-2.0-only

//! What the user has set with `ethtool`: the link, pause frames, the interval of interrupts, the sizes
//! of the rings. It holds through down and up.
//!
//! All of it is read and written under the RTNL lock, so the atomics need no order.

use crate::{
    desc::COUNT,
    hw::Hw,
    phy,
    regs::{
        CTRL,
        FCAH,
        FCAL,
        FCRTH,
        FCRTL,
        FCT,
        FCTTV,
        ITR,
        PBA, //
    }, //
};
use kernel::{
    io::Io,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};
use kit::{
    error::not_supported,
    net::{
        LinkModes,
        LinkRequest,
        Pause, //
    }, //
};

/// The modes that the card can do.
pub(crate) const SUPPORTED: LinkModes = LinkModes::HALF_10
    .with(LinkModes::FULL_10)
    .with(LinkModes::HALF_100)
    .with(LinkModes::FULL_100)
    .with(LinkModes::FULL_1000)
    .with(LinkModes::PAUSE)
    .with(LinkModes::ASYMMETRIC_PAUSE);

/// Microseconds between two interrupts, unless the user wants it otherwise: 8000 a second.
const INTERVAL: u32 = 125;

/// The unit of ITR, in nanoseconds, and its largest value (13.4.18).
const ITR_UNIT: u32 = 256;
const ITR_MAX: u32 = 0xffff;

/// The address that pause frames are sent to, and their type (IEEE 802.3, annex 31B), as the
/// registers have them (13.4.8 to 13.4.10).
const PAUSE_ADDRESS: (u32, u32) = (0x00c2_8001, 0x0000_0100);
const PAUSE_TYPE: u32 = 0x8808;

/// How long a pause is that the card asks for, in units of 512 bits (13.4.12).
const PAUSE_TIME: u32 = 0x0680;

/// The KB of the receive FIFO (13.4.16). The rest, 24, is for sending: the longest frame, and the
/// beginning of another one.
const RX_FIFO: u32 = 40;

/// The card asks for a pause while the longest frame still fits into its receive FIFO, and ends it
/// when a frame of Ethernet's own length has left (13.4.23).
const PAUSE_ABOVE: u32 = (RX_FIFO * 1024 - 16_128) & !7;
const RESUME_BELOW: u32 = (PAUSE_ABOVE - 1528) & !7;

/// What the user has set.
pub(crate) struct Setup {
    /// The modes that are offered, or the one that is forced.
    modes: Atomic<u32>,
    forced: Atomic<bool>,
    /// The PHY has not been told of `modes`.
    untold: Atomic<bool>,
    pause: Atomic<Bits>,
    /// The other end was asked about pause frames since the link is up.
    resolved: Atomic<bool>,
    interval: Atomic<u32>,
    /// How many descriptors the rings have.
    rx_ring: Atomic<u32>,
    tx_ring: Atomic<u32>,
}

/// A [`Pause`] as three bits.
type Bits = u32;

const NEGOTIATE: Bits = 1;
const RX: Bits = 2;
const TX: Bits = 4;

impl Setup {
    /// The PHY's own: it offers all that it can. No pauses.
    pub(crate) fn new() -> Self {
        Self {
            modes: Atomic::new(SUPPORTED.into_raw()),
            forced: Atomic::new(false),
            untold: Atomic::new(false),
            pause: Atomic::new(0),
            resolved: Atomic::new(false),
            interval: Atomic::new(INTERVAL),
            rx_ring: Atomic::new(COUNT as u32),
            tx_ring: Atomic::new(COUNT as u32),
        }
    }

    /// Has a card that is being opened, with its PHY switched on, follow all that was set.
    pub(crate) fn apply(&self, hw: &Hw<'_>) -> Result {
        self.apply_interval(hw);
        self.apply_pause(hw);
        if self.untold.load(Relaxed) {
            self.negotiate(hw)?;
        }
        Ok(())
    }

    pub(crate) fn request(&self) -> LinkRequest {
        let modes = LinkModes::from_raw(self.modes.load(Relaxed));
        if self.forced.load(Relaxed) {
            LinkRequest::Force(modes)
        } else {
            LinkRequest::Negotiate(modes)
        }
    }

    /// Keeps how the link shall come about. The PHY is told now if the card is `up`, else by the
    /// next [`Self::apply`].
    pub(crate) fn set_request(&self, hw: &Hw<'_>, up: bool, request: LinkRequest) -> Result {
        let (forced, modes) = match request {
            // 1000 Mbit/s cannot be forced: the two ends must agree on whose clock it is
            // (IEEE 802.3, 40.5.2). It is the only offer then.
            LinkRequest::Force(LinkModes::FULL_1000) => (false, LinkModes::FULL_1000),
            LinkRequest::Force(modes) => (true, modes),
            LinkRequest::Negotiate(modes) => (false, modes),
        };
        self.keep(forced, modes);
        if up {
            self.negotiate(hw)?;
        }
        Ok(())
    }

    /// Keeps what the user has told the PHY itself. The next open tells it again.
    pub(crate) fn note_request(&self, request: LinkRequest) {
        match request {
            LinkRequest::Force(modes) => self.keep(true, modes),
            LinkRequest::Negotiate(modes) => self.keep(false, modes),
        }
        self.resolved.store(false, Relaxed);
    }

    fn keep(&self, forced: bool, modes: LinkModes) {
        self.modes.store(modes.into_raw(), Relaxed);
        self.forced.store(forced, Relaxed);
        self.untold.store(true, Relaxed);
    }

    /// Begins to negotiate, or stops to, and takes the link down for as long as that takes.
    pub(crate) fn negotiate(&self, hw: &Hw<'_>) -> Result {
        self.resolved.store(false, Relaxed);
        let modes = LinkModes::from_raw(self.modes.load(Relaxed));
        if self.forced.load(Relaxed) {
            phy::force(hw, modes)?;
        } else {
            phy::negotiate(hw, modes)?;
        }
        self.untold.store(false, Relaxed);
        Ok(())
    }

    pub(crate) fn pause(&self) -> Pause {
        let bits = self.pause.load(Relaxed);
        Pause {
            negotiate: bits & NEGOTIATE != 0,
            rx: bits & RX != 0,
            tx: bits & TX != 0,
        }
    }

    /// Keeps what pause frames are for. With negotiation the other end is asked again.
    pub(crate) fn set_pause(&self, hw: &Hw<'_>, up: bool, pause: Pause) -> Result {
        let mut bits = 0;
        for (bit, set) in [(NEGOTIATE, pause.negotiate), (RX, pause.rx), (TX, pause.tx)] {
            if set {
                bits |= bit;
            }
        }
        self.pause.store(bits, Relaxed);
        if !pause.negotiate {
            self.apply_pause(hw);
            return Ok(());
        }
        // IEEE 802.3, table 28B-2: one that obeys pauses offers both bits, one that only sends them
        // the second.
        let offer = match (pause.rx, pause.tx) {
            (true, true) => LinkModes::PAUSE,
            (true, false) => LinkModes::PAUSE.with(LinkModes::ASYMMETRIC_PAUSE),
            (false, true) => LinkModes::ASYMMETRIC_PAUSE,
            (false, false) => LinkModes::NONE,
        };
        let both = LinkModes::PAUSE.with(LinkModes::ASYMMETRIC_PAUSE);
        let modes = LinkModes::from_raw(self.modes.load(Relaxed));
        let modes = modes.without(both).with(offer);
        self.set_request(hw, up, LinkRequest::Negotiate(modes))
    }

    /// With a link that is new, asks what the ends have agreed on about pauses.
    pub(crate) fn resolve_pause(&self, hw: &Hw<'_>, link: bool) -> Result {
        if !link {
            self.resolved.store(false, Relaxed);
        } else if self.pause().negotiate && !self.resolved.xchg(true, Relaxed) {
            let (rx, tx) = phy::agreed_pause(hw)?;
            set_pause(hw, rx, tx);
        }
        Ok(())
    }

    fn apply_pause(&self, hw: &Hw<'_>) {
        let pause = self.pause();
        if !pause.negotiate {
            set_pause(hw, pause.rx, pause.tx);
        }
    }

    /// The sizes of the receive and the transmit ring.
    pub(crate) fn ring_sizes(&self) -> (u32, u32) {
        (self.rx_ring.load(Relaxed), self.tx_ring.load(Relaxed))
    }

    pub(crate) fn set_ring_sizes(&self, (rx, tx): (u32, u32)) {
        self.rx_ring.store(rx, Relaxed);
        self.tx_ring.store(tx, Relaxed);
    }

    pub(crate) fn interval(&self) -> u32 {
        self.interval.load(Relaxed)
    }

    /// Sets the least time between two interrupts, in microseconds.
    pub(crate) fn set_interval(&self, hw: &Hw<'_>, usecs: u32) -> Result {
        if !hw.chip.throttles {
            return Err(not_supported());
        }
        if usecs > ITR_MAX * ITR_UNIT / 1000 {
            return Err(EINVAL);
        }
        self.interval.store(usecs, Relaxed);
        self.apply_interval(hw);
        Ok(())
    }

    fn apply_interval(&self, hw: &Hw<'_>) {
        if !hw.chip.throttles {
            return;
        }
        let units = (self.interval() * 1000 / ITR_UNIT).min(ITR_MAX);
        hw.bar.write_reg(ITR::zeroed().with_interval(units as u16));
    }
}

impl Hw<'_> {
    /// Divides the card's memory between receiving and sending. The next reset makes it so (13.4.16).
    pub(crate) fn divide_fifo(&self) {
        self.bar
            .write_reg(PBA::zeroed().with_const_rxa::<RX_FIFO>());
    }
}

/// Has the card obey pause frames, and send them (13.4.1).
fn set_pause(hw: &Hw<'_>, rx: bool, tx: bool) {
    let bar = &hw.bar;
    if rx || tx {
        bar.write_reg(FCAL::from(PAUSE_ADDRESS.0));
        bar.write_reg(FCAH::from(PAUSE_ADDRESS.1));
        bar.write_reg(FCT::from(PAUSE_TYPE));
        bar.write_reg(FCTTV::from(PAUSE_TIME));
    }
    let (above, below) = if tx {
        (PAUSE_ABOVE, RESUME_BELOW)
    } else {
        (0, 0)
    };
    bar.write_reg(FCRTL::from(below).with_xone(tx));
    bar.write_reg(FCRTH::from(above));
    bar.update(CTRL, |ctrl| ctrl.with_rfce(rx).with_tfce(tx));
}
