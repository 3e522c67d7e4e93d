// SPDX-License-Identifier: GPL-2.0-only

//! Settings by `ethtool`, which last until the driver is unbound: link, pause frames, interval of
//! interrupts, sizes of the rings.
//!
//! The RTNL lock guards all of them, so relaxed atomics suffice.

use crate::{
    desc::COUNT,
    hw::Hw,
    itr::Level,
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

/// Modes that the card supports.
pub(crate) const SUPPORTED: LinkModes = LinkModes::HALF_10
    .with(LinkModes::FULL_10)
    .with(LinkModes::HALF_100)
    .with(LinkModes::FULL_100)
    .with(LinkModes::FULL_1000)
    .with(LinkModes::PAUSE)
    .with(LinkModes::ASYMMETRIC_PAUSE);

/// Intervals of interrupts in microseconds that stand for a dynamic one, as in other drivers of the
/// family: one for short answers, and one with fewer interrupts.
const DYNAMIC: u32 = 1;
const DYNAMIC_FEWER: u32 = 3;

/// Default interval.
const INTERVAL: u32 = DYNAMIC_FEWER;

/// Intervals of a dynamic one, in microseconds. The short one is of either kind.
const SHORT: u32 = 16;
const SHORT_FEWER: u32 = 50;
const MIDDLE: u32 = 125;
const LONG: u32 = 250;

/// Unit of ITR in nanoseconds, and its largest value (13.4.18).
const ITR_UNIT: u32 = 256;
const ITR_MAX: u32 = 0xffff;

/// Destination and Ethertype of pause frames (IEEE 802.3, annex 31B), in the form of the registers
/// (13.4.8 to 13.4.10).
const PAUSE_ADDRESS: (u32, u32) = (0x00c2_8001, 0x0000_0100);
const PAUSE_TYPE: u32 = 0x8808;

/// Length of a requested pause, in units of 512 bits (13.4.12).
const PAUSE_TIME: u32 = 0x0680;

/// Size of the receive FIFO in KiB, a multiple of 8 (13.4.16). The other 24 KiB are the transmit
/// FIFO: the longest frame, and the beginning of the next.
const RX_FIFO: u32 = 40;

/// Levels of the receive FIFO in bytes, multiples of 8 (13.4.23, 13.4.24): a pause is requested
/// while the longest frame still fits, and ends when there is room for a frame of 1518 bytes more.
const PAUSE_ABOVE: u32 = (RX_FIFO * 1024 - 16_128) & !7;
const RESUME_BELOW: u32 = (PAUSE_ABOVE - 1528) & !7;

/// Settings by the user.
pub(crate) struct Setup {
    /// Advertised modes, or the forced one, bits of [`LinkModes`].
    modes: Atomic<u32>,
    forced: Atomic<bool>,
    pause: Atomic<Bits>,
    /// True if the negotiated use of pause frames is set for the present link. Not under the RTNL
    /// lock: the poll function clears it.
    resolved: Atomic<bool>,
    interval: Atomic<u32>,
    /// Numbers of descriptors of the rings.
    rx_ring: Atomic<u32>,
    tx_ring: Atomic<u32>,
}

/// A [`Pause`] as three bits.
type Bits = u32;

const NEGOTIATE: Bits = 1;
const RX: Bits = 2;
const TX: Bits = 4;

impl Setup {
    /// Returns the defaults: all modes are advertised, as by the PHY itself; no pause frames.
    pub(crate) fn new() -> Self {
        Self {
            modes: Atomic::new(SUPPORTED.into_raw()),
            forced: Atomic::new(false),
            pause: Atomic::new(0),
            resolved: Atomic::new(false),
            interval: Atomic::new(INTERVAL),
            rx_ring: Atomic::new(COUNT as u32),
            tx_ring: Atomic::new(COUNT as u32),
        }
    }

    /// Applies the settings to a card that is being opened. The PHY has power.
    ///
    /// The PHY keeps its own settings while the interface is down, and a negotiation takes seconds,
    /// so it is told its settings only if it has others.
    pub(crate) fn apply(&self, hw: &Hw<'_>) -> Result {
        self.apply_interval(hw);
        self.apply_pause(hw);
        // The card has been reset, so negotiated pause frames are off.
        self.link_changed();
        if !phy::follows(hw, self.request())? {
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

    /// Keeps a request for the link. It is written to the PHY now if the card is `up`, otherwise by
    /// the next [`Self::apply`]. After an error the former request stays.
    pub(crate) fn set_request(&self, hw: &Hw<'_>, up: bool, request: LinkRequest) -> Result {
        let (forced, modes) = match request {
            // 1000BASE-T needs a negotiation, of master and slave (IEEE 802.3, 40.5.2), so this mode
            // alone is advertised.
            LinkRequest::Force(LinkModes::FULL_1000) => (false, LinkModes::FULL_1000),
            LinkRequest::Force(modes) => (true, modes),
            LinkRequest::Negotiate(modes) => (false, modes),
        };
        let former = (self.forced.load(Relaxed), self.modes.load(Relaxed));
        self.keep(forced, modes);
        if up {
            self.negotiate(hw)
                .inspect_err(|_| self.keep(former.0, LinkModes::from_raw(former.1)))?;
        }
        Ok(())
    }

    /// Keeps a request that the user wrote to the PHY directly.
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
    }

    /// Starts a negotiation, or forces a mode. The link is down meanwhile.
    pub(crate) fn negotiate(&self, hw: &Hw<'_>) -> Result {
        self.resolved.store(false, Relaxed);
        phy::request(hw, self.request())
    }

    pub(crate) fn pause(&self) -> Pause {
        let bits = self.pause.load(Relaxed);
        Pause {
            negotiate: bits & NEGOTIATE != 0,
            rx: bits & RX != 0,
            tx: bits & TX != 0,
        }
    }

    /// Keeps the use of pause frames, and starts a negotiation if they are negotiated. After an error
    /// the former use stays.
    ///
    /// # Errors
    ///
    /// `EINVAL`: they are to be negotiated, and the link is not (`struct ethtool_pauseparam`).
    /// Others: the PHY does not answer.
    pub(crate) fn set_pause(&self, hw: &Hw<'_>, up: bool, pause: Pause) -> Result {
        if pause.negotiate && self.forced.load(Relaxed) {
            return Err(EINVAL);
        }
        let mut bits = 0;
        for (bit, set) in [(NEGOTIATE, pause.negotiate), (RX, pause.rx), (TX, pause.tx)] {
            if set {
                bits |= bit;
            }
        }
        let former = self.pause.xchg(bits, Relaxed);
        if !pause.negotiate {
            self.apply_pause(hw);
            return Ok(());
        }
        // IEEE 802.3, table 28B-2: both bits for receive only, the second alone for transmit only.
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
            .inspect_err(|_| self.pause.store(former, Relaxed))
    }

    /// Sets the negotiated use of pause frames when a link has come up. There are none on a link that
    /// was not negotiated, nor with half duplex (IEEE 802.3, 31B.1).
    pub(crate) fn resolve_pause(&self, hw: &Hw<'_>, link: bool) -> Result {
        if !link {
            self.resolved.store(false, Relaxed);
        } else if self.pause().negotiate && !self.resolved.xchg(true, Relaxed) {
            let full_duplex = hw.link().is_some_and(|link| link.full_duplex);
            let (rx, tx) = if full_duplex && !self.forced.load(Relaxed) {
                // The next call tries again.
                phy::agreed_pause(hw).inspect_err(|_| self.resolved.store(false, Relaxed))?
            } else {
                (false, false)
            };
            set_pause(hw, rx, tx);
        }
        Ok(())
    }

    /// Has the use of pause frames negotiated anew. For each interrupt for a change of the link, since
    /// a link that went and came again between two calls of the watchdog can be another one.
    pub(crate) fn link_changed(&self) {
        self.resolved.store(false, Relaxed);
    }

    fn apply_pause(&self, hw: &Hw<'_>) {
        let pause = self.pause();
        if !pause.negotiate {
            set_pause(hw, pause.rx, pause.tx);
        }
    }

    /// Returns the sizes of the receive and the transmit ring.
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

    /// Returns true if the interval is dynamic.
    #[inline]
    pub(crate) fn is_dynamic(&self) -> bool {
        matches!(self.interval(), DYNAMIC | DYNAMIC_FEWER)
    }

    /// Sets the least time between two interrupts, in microseconds; or a dynamic one.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the card has no ITR. `EINVAL`: the time is too long, or 2, which is neither.
    pub(crate) fn set_interval(&self, hw: &Hw<'_>, usecs: u32) -> Result {
        if !hw.chip.throttles {
            return Err(not_supported());
        }
        if usecs > ITR_MAX * ITR_UNIT / 1000 || usecs == 2 {
            return Err(EINVAL);
        }
        self.interval.store(usecs, Relaxed);
        self.apply_interval(hw);
        Ok(())
    }

    /// Has the interval follow the traffic, as by default, or fixes it to the middle one of those
    /// that it had.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the card has no ITR.
    pub(crate) fn set_dynamic(&self, hw: &Hw<'_>, on: bool) -> Result {
        self.set_interval(hw, if on { INTERVAL } else { MIDDLE })
    }

    fn apply_interval(&self, hw: &Hw<'_>) {
        match self.interval() {
            DYNAMIC | DYNAMIC_FEWER => self.set_level(hw, Level::Short),
            fixed => write_interval(hw, fixed),
        }
    }

    /// Sets the interval that was chosen dynamically.
    pub(crate) fn set_level(&self, hw: &Hw<'_>, level: Level) {
        let fewer = self.interval() == DYNAMIC_FEWER;
        write_interval(
            hw,
            match level {
                Level::Short if fewer => SHORT_FEWER,
                Level::Short => SHORT,
                Level::Middle => MIDDLE,
                Level::Long => LONG,
            },
        );
    }

    /// Sets a fixed interval again, which the poll function may have overwritten while the user set
    /// it.
    pub(crate) fn keep_interval(&self, hw: &Hw<'_>) {
        if !self.is_dynamic() {
            self.apply_interval(hw);
        }
    }
}

impl Hw<'_> {
    /// Divides the FIFO between receive and transmit (13.4.16); from the next reset on, says the
    /// driver in C (`e1000_reset`).
    pub(crate) fn divide_fifo(&self) {
        self.bar
            .write_reg(PBA::zeroed().with_const_rxa::<RX_FIFO>());
    }
}

/// Returns the value of ITR for microseconds.
fn units_of(usecs: u32) -> u16 {
    (usecs.saturating_mul(1000) / ITR_UNIT).min(ITR_MAX) as u16
}

/// Sets the least time between two interrupts, if the card has it.
fn write_interval(hw: &Hw<'_>, usecs: u32) {
    if hw.chip.throttles {
        hw.bar
            .write_reg(ITR::zeroed().with_interval(units_of(usecs)));
    }
}

/// Switches the use of pause frames (13.4.1).
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

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_setup)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_unit_of_256_ns() {
        for (usecs, units) in [
            (0, 0),
            (1, 3),
            (SHORT, 62),
            (SHORT_FEWER, 195),
            (MIDDLE, 488),
            (LONG, 976),
            (512, 2000),
            (16_776, 65_531),
            (u32::MAX, 65_535),
        ] {
            assert_eq!(units_of(usecs), units);
        }
    }

    #[test]
    fn a_pause_begins_before_the_fifo_is_full_and_ends_below() {
        assert!(RESUME_BELOW < PAUSE_ABOVE);
        assert!(PAUSE_ABOVE + 16_128 <= RX_FIFO * 1024);
        assert_eq!((PAUSE_ABOVE % 8, RESUME_BELOW % 8), (0, 0));
    }
}
