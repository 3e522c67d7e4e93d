// SPDX-License-Identifier: GPL-2.0-only

//! The PHY, accessed by MDIC (13.4.7).

use crate::{
    hw::Hw,
    regs::{
        MANC,
        MDIC, //
    },
    setup::SUPPORTED, //
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    num::Bounded,
    prelude::*,
    time::Delta, //
};
use kit::net::{
    LinkModes,
    LinkRequest, //
};

/// Address of the PHY on the internal bus.
const ADDRESS: Bounded<u32, 5> = Bounded::<u32, 5>::new::<1>();

/// Register "PHY Identifier" (13.4.7.1.3).
pub(crate) const PHY_ID1: Bounded<u32, 5> = Bounded::<u32, 5>::new::<2>();

/// Operation "read" of MDIC.
const READ: Bounded<u32, 2> = Bounded::<u32, 2>::new::<2>();

/// Operation "write" of MDIC.
const WRITE: Bounded<u32, 2> = Bounded::<u32, 2>::new::<1>();

/// Register "PHY Control".
const CONTROL: Bounded<u32, 5> = Bounded::<u32, 5>::new::<0>();

/// Bit "power down" of PHY Control (13.4.7.1.1).
const POWER_DOWN: u16 = 1 << 11;

/// Reads a register of the PHY.
pub(crate) fn read(hw: &Hw<'_>, register: Bounded<u32, 5>) -> Result<u16> {
    let mdic = transfer(hw, MDIC::zeroed().with_op(READ).with_regadd(register))?;
    Ok(mdic.data().cast::<u16>().get())
}

/// Switches the PHY's power. Without power there is no link, but the registers can be accessed
/// (11.10.1). A driver that was loaded before may have switched it off.
pub(crate) fn set_power(hw: &Hw<'_>, on: bool) -> Result {
    let control = read(hw, CONTROL)? & !POWER_DOWN;
    let control = if on { control } else { control | POWER_DOWN };
    let write = MDIC::zeroed().with_op(WRITE).with_regadd(CONTROL);
    transfer(hw, write.with_data(control)).map(|_| ())
}

/// Registers "Extended PHY Identifier", "PHY Specific Control" and "Extended PHY Specific Control"
/// (13.4.7.1.4, 13.4.7.1.13, 13.4.7.1.17).
const PHY_ID2: Bounded<u32, 5> = Bounded::<u32, 5>::new::<3>();
const SPECIFIC: Bounded<u32, 5> = Bounded::<u32, 5>::new::<16>();
const EXTENDED: Bounded<u32, 5> = Bounded::<u32, 5>::new::<20>();

/// Field of Extended PHY Identifier for the revision.
const REVISION: u16 = 0xf;

/// First revision whose clock for the MAC needs no setting, and the setting: 25 MHz without a link. The
/// driver in C has both (`e1000_copper_link_mgp_setup`).
const SETS_CLOCK: u16 = 4;
const CLOCK_25: u16 = 7 << 4;

/// Longest time that a reset of the PHY takes (IEEE 802.3, 22.2.4.1.1).
const RESET_TIME: Delta = Delta::from_millis(500);

/// Field of PHY Specific Control for the kind of the cable: all ones to find it out. That does not
/// work with a forced mode (11.6.2), for which all zeroes have the PHY use the pins as they are.
const CROSSOVER: u16 = 3 << 5;

/// Switches the PHY's power on, and sets what is not the user's to choose. Half duplex does not work
/// by its defaults.
pub(crate) fn power_up(hw: &Hw<'_>) -> Result {
    set_power(hw, true)?;
    if set_fixed(hw)? {
        reset(hw, read(hw, CONTROL)?)?;
    }
    Ok(())
}

/// Sets what is not the user's to choose. Returns true if that was not set before: it takes effect
/// with a reset.
fn set_fixed(hw: &Hw<'_>) -> Result<bool> {
    let specific = read(hw, SPECIFIC)?;
    let extended = read(hw, EXTENDED)?;
    let clock = if read(hw, PHY_ID2)? & REVISION < SETS_CLOCK {
        CLOCK_25
    } else {
        0
    };
    let wanted = (specific | hw.chip.phy_control, extended | clock);
    if wanted == (specific, extended) {
        return Ok(false);
    }
    write(hw, SPECIFIC, wanted.0)?;
    write(hw, EXTENDED, wanted.1)?;
    Ok(true)
}

/// Resets the PHY, which keeps its registers, and goes on by a value of PHY Control. Changes of speed,
/// duplex mode, crossover and negotiation do not take effect otherwise, as long as there is a link
/// (11.1.3).
fn reset(hw: &Hw<'_>, control: u16) -> Result {
    write(hw, CONTROL, control | RESET)?;
    read_poll_timeout(
        || read(hw, CONTROL),
        |control| control & RESET == 0,
        Delta::from_millis(1),
        RESET_TIME,
    )?;
    // A reset takes the clock away, says the driver in C (`e1000_phy_force_speed_duplex`).
    set_fixed(hw).map(|_| ())
}

/// Has the PHY find out which kind of cable there is, or not. Takes effect with a reset or with a
/// negotiation.
fn set_crossover(hw: &Hw<'_>, automatic: bool) -> Result {
    let specific = read(hw, SPECIFIC)? & !CROSSOVER;
    write(hw, SPECIFIC, specific | crossover_of(automatic))
}

fn crossover_of(automatic: bool) -> u16 {
    if automatic {
        CROSSOVER
    } else {
        0
    }
}

/// Switches the PHY's power off for as long as the interface is down. A management controller keeps
/// its link.
pub(crate) fn power_down(hw: &Hw<'_>) -> Result {
    if hw.chip.is_managed && hw.bar.read(MANC).smbus_en() {
        return Ok(());
    }
    set_power(hw, false)
}

/// Other bits of PHY Control (13.4.7.1.1; IEEE 802.3, 22.2.4.1).
const RESET: u16 = 1 << 15;
const LOOPBACK: u16 = 1 << 14;
const SPEED_100: u16 = 1 << 13;
const SPEED_1000: u16 = 1 << 6;
const NEGOTIATION: u16 = 1 << 12;
const NEGOTIATE_NOW: u16 = 1 << 9;
const FULL_DUPLEX: u16 = 1 << 8;

/// Registers "Auto-Negotiation Advertisement" and "Link Partner Ability" (13.4.7.1.5,
/// 13.4.7.1.6; IEEE 802.3, 28.2.4.1).
const OFFER: Bounded<u32, 5> = Bounded::<u32, 5>::new::<4>();
const PARTNER: Bounded<u32, 5> = Bounded::<u32, 5>::new::<5>();

/// Bits of both for the modes. The lowest bits are the type of the message, IEEE 802.3.
const OFFERS: [(LinkModes, u16); 6] = [
    (LinkModes::HALF_10, 1 << 5),
    (LinkModes::FULL_10, 1 << 6),
    (LinkModes::HALF_100, 1 << 7),
    (LinkModes::FULL_100, 1 << 8),
    (LinkModes::PAUSE, OFFERS_PAUSE),
    (LinkModes::ASYMMETRIC_PAUSE, OFFERS_ASYMMETRIC_PAUSE),
];
const OFFERS_PAUSE: u16 = 1 << 10;
const OFFERS_ASYMMETRIC_PAUSE: u16 = 1 << 11;
const IEEE_802_3: u16 = 1;

/// Register "1000BASE-T Control", and its bits for half and full duplex (13.4.7.1.10).
const GIGABIT: Bounded<u32, 5> = Bounded::<u32, 5>::new::<9>();
const GIGABIT_HALF: u16 = 1 << 8;
const GIGABIT_FULL: u16 = 1 << 9;

/// Returns the bits of Advertisement for modes.
fn offer_of(modes: LinkModes) -> u16 {
    OFFERS
        .iter()
        .filter(|(mode, _)| modes.has(*mode))
        .fold(0, |bits, (_, bit)| bits | bit)
}

/// Returns the bits of 1000BASE-T Control for modes.
fn gigabit_of(modes: LinkModes) -> u16 {
    if modes.has(LinkModes::FULL_1000) {
        GIGABIT_FULL
    } else {
        0
    }
}

/// Returns the value of PHY Control for a mode without negotiation.
fn control_of(mode: LinkModes) -> Result<u16> {
    match mode {
        LinkModes::HALF_10 => Ok(0),
        LinkModes::FULL_10 => Ok(FULL_DUPLEX),
        LinkModes::HALF_100 => Ok(SPEED_100),
        LinkModes::FULL_100 => Ok(SPEED_100 | FULL_DUPLEX),
        LinkModes::FULL_1000 => Ok(SPEED_1000 | FULL_DUPLEX),
        _ => Err(EINVAL),
    }
}

/// Advertises modes to the link partner and starts a negotiation, or forces a mode without one.
pub(crate) fn request(hw: &Hw<'_>, request: LinkRequest) -> Result {
    let modes = match request {
        LinkRequest::Negotiate(modes) => modes,
        LinkRequest::Force(mode) => {
            let control = control_of(mode)?;
            set_crossover(hw, false)?;
            return reset(hw, control);
        }
    };
    set_crossover(hw, true)?;
    write(hw, OFFER, IEEE_802_3 | offer_of(modes))?;
    let gigabit = read(hw, GIGABIT)? & !(GIGABIT_HALF | GIGABIT_FULL);
    write(hw, GIGABIT, gigabit | gigabit_of(modes))?;
    write(hw, CONTROL, NEGOTIATION | NEGOTIATE_NOW)
}

/// Returns true if the PHY works by a request. It does not after a loss of its power, after a
/// loopback, or if another driver had other wishes.
pub(crate) fn follows(hw: &Hw<'_>, request: LinkRequest) -> Result<bool> {
    let (fields, control, advertises) = match request {
        LinkRequest::Force(mode) => (
            NEGOTIATION | LOOPBACK | SPEED_100 | SPEED_1000 | FULL_DUPLEX,
            control_of(mode)?,
            true,
        ),
        LinkRequest::Negotiate(modes) => (
            NEGOTIATION | LOOPBACK,
            NEGOTIATION,
            read(hw, OFFER)? & offer_of(SUPPORTED) == offer_of(modes)
                && read(hw, GIGABIT)? & (GIGABIT_HALF | GIGABIT_FULL) == gigabit_of(modes),
        ),
    };
    let crossover = crossover_of(control & NEGOTIATION != 0);
    Ok(advertises
        && read(hw, SPECIFIC)? & CROSSOVER == crossover
        && read(hw, CONTROL)? & fields == control)
}

/// Switches the loopback to the MAC on; or off, and starts a negotiation.
pub(crate) fn set_loopback(hw: &Hw<'_>, on: bool) -> Result {
    if !on {
        return write(hw, CONTROL, NEGOTIATION | NEGOTIATE_NOW);
    }
    set_crossover(hw, false)?;
    reset(hw, SPEED_1000 | FULL_DUPLEX)?;
    write(hw, CONTROL, LOOPBACK | SPEED_1000 | FULL_DUPLEX)
}

/// Returns the negotiated use of pause frames: received ones are obeyed, and some are sent (IEEE
/// 802.3, table 28B-3).
pub(crate) fn agreed_pause(hw: &Hw<'_>) -> Result<(bool, bool)> {
    let (own, other) = (read(hw, OFFER)?, read(hw, PARTNER)?);
    Ok(resolve_pause(own, other))
}

fn resolve_pause(own: u16, other: u16) -> (bool, bool) {
    let has = |offer: u16, bit: u16| offer & bit != 0;
    if has(own & other, OFFERS_PAUSE) {
        return (true, true);
    }
    if !has(own & other, OFFERS_ASYMMETRIC_PAUSE) {
        return (false, false);
    }
    (has(own, OFFERS_PAUSE), has(other, OFFERS_PAUSE))
}

/// Writes a register of the PHY for the user. Returns the request for the link that the PHY works by
/// then, if the register is one of those that have it. A forced mode takes effect at once, whether the
/// user resets the PHY or not.
pub(crate) fn write_for_user(
    hw: &Hw<'_>,
    register: Bounded<u32, 5>,
    value: u16,
) -> Result<Option<LinkRequest>> {
    write(hw, register, value)?;
    let has_request = [CONTROL, OFFER, GIGABIT].contains(&register);
    if !has_request || (register == CONTROL && value & POWER_DOWN != 0) {
        return Ok(None);
    }
    let (control, offer, gigabit) = (read(hw, CONTROL)?, read(hw, OFFER)?, read(hw, GIGABIT)?);
    let wanted = request_of(control, offer, gigabit);
    if register == CONTROL && matches!(wanted, LinkRequest::Force(_)) {
        request(hw, wanted)?;
    }
    Ok(Some(wanted))
}

/// Returns the request for the link that the PHY's registers mean.
fn request_of(control: u16, offer: u16, gigabit: u16) -> LinkRequest {
    if control & NEGOTIATION != 0 {
        let mut modes = LinkModes::NONE;
        for (mode, bit) in OFFERS {
            if offer & bit != 0 {
                modes = modes.with(mode);
            }
        }
        if gigabit & GIGABIT_FULL != 0 {
            modes = modes.with(LinkModes::FULL_1000);
        }
        return LinkRequest::Negotiate(modes);
    }
    let full = control & FULL_DUPLEX != 0;
    LinkRequest::Force(match (control & SPEED_1000, control & SPEED_100, full) {
        (0, 0, false) => LinkModes::HALF_10,
        (0, 0, true) => LinkModes::FULL_10,
        (0, _, false) => LinkModes::HALF_100,
        (0, _, true) => LinkModes::FULL_100,
        _ => LinkModes::FULL_1000,
    })
}

/// Writes a register of the PHY.
fn write(hw: &Hw<'_>, register: Bounded<u32, 5>, value: u16) -> Result {
    let mdic = MDIC::zeroed().with_op(WRITE).with_regadd(register);
    transfer(hw, mdic.with_data(value)).map(|_| ())
}

/// Carries out an operation on the PHY's bus.
fn transfer(hw: &Hw<'_>, mdic: MDIC) -> Result<MDIC> {
    hw.bar.write_reg(mdic.with_phyadd(ADDRESS));
    let mdic = read_poll_timeout(
        || Ok(hw.bar.read(MDIC)),
        |mdic| mdic.ready(),
        Delta::from_micros(50),
        Delta::from_millis(10),
    )?;
    if mdic.error() {
        return Err(EIO);
    }
    Ok(mdic)
}

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_phy)]
mod tests {
    use super::*;

    #[test]
    fn the_users_word_to_the_phy_is_understood() {
        for (control, request) in [
            (0x1140, LinkRequest::Negotiate(SUPPORTED)),
            (0x0000, LinkRequest::Force(LinkModes::HALF_10)),
            (0x0100, LinkRequest::Force(LinkModes::FULL_10)),
            (0x2000, LinkRequest::Force(LinkModes::HALF_100)),
            (0x2100, LinkRequest::Force(LinkModes::FULL_100)),
            (0x0140, LinkRequest::Force(LinkModes::FULL_1000)),
        ] {
            assert!(request_of(control, 0x0de1, 0x0e00) == request);
        }
        let one = LinkRequest::Negotiate(LinkModes::FULL_100);
        assert!(request_of(0x1000, 0x0101, 0) == one);
    }

    #[test]
    fn modes_are_told_to_the_phy_and_read_back() {
        for modes in [
            LinkModes::NONE,
            LinkModes::FULL_1000,
            LinkModes::HALF_10.with(LinkModes::PAUSE),
            SUPPORTED,
        ] {
            let (offer, gigabit) = (offer_of(modes), gigabit_of(modes));
            let read = request_of(NEGOTIATION, IEEE_802_3 | offer, gigabit);
            assert!(read == LinkRequest::Negotiate(modes));
        }
        for mode in [
            LinkModes::HALF_10,
            LinkModes::FULL_100,
            LinkModes::FULL_1000,
        ] {
            let control = control_of(mode).unwrap_or(NEGOTIATION);
            assert!(request_of(control, 0, 0) == LinkRequest::Force(mode));
        }
        assert!(control_of(SUPPORTED).is_err());
    }

    #[test]
    fn pauses_are_agreed_on_as_the_standard_has_it() {
        const BOTH: u16 = OFFERS_PAUSE | OFFERS_ASYMMETRIC_PAUSE;
        for (own, other, agreed) in [
            (0, BOTH, (false, false)),
            (OFFERS_PAUSE, OFFERS_PAUSE, (true, true)),
            (BOTH, OFFERS_PAUSE, (true, true)),
            (BOTH, OFFERS_ASYMMETRIC_PAUSE, (true, false)),
            (OFFERS_ASYMMETRIC_PAUSE, BOTH, (false, true)),
            (OFFERS_PAUSE, OFFERS_ASYMMETRIC_PAUSE, (false, false)),
        ] {
            assert!(resolve_pause(own, other) == agreed);
        }
    }
}
