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

/// Register "PHY Identifier", upper half.
pub(crate) const PHY_ID1: Bounded<u32, 5> = Bounded::<u32, 5>::new::<2>();

/// Operation "read" of MDIC.
const READ: Bounded<u32, 2> = Bounded::<u32, 2>::new::<2>();

/// Operation "write" of MDIC.
const WRITE: Bounded<u32, 2> = Bounded::<u32, 2>::new::<1>();

/// Register "PHY Control".
const CONTROL: Bounded<u32, 5> = Bounded::<u32, 5>::new::<0>();

/// Bit "power down" of PHY Control (11.1.3).
const POWER_DOWN: u16 = 1 << 11;

/// Reads a register of the PHY.
pub(crate) fn read(hw: &Hw<'_>, register: Bounded<u32, 5>) -> Result<u16> {
    let mdic = transfer(hw, MDIC::zeroed().with_op(READ).with_regadd(register))?;
    Ok(mdic.data().cast::<u16>().get())
}

/// Switches the PHY's power. Without power there is no link, but the registers can be accessed
/// (11.4.2). A driver that was loaded before may have switched it off.
pub(crate) fn set_power(hw: &Hw<'_>, on: bool) -> Result {
    let control = read(hw, CONTROL)? & !POWER_DOWN;
    let control = if on { control } else { control | POWER_DOWN };
    let write = MDIC::zeroed().with_op(WRITE).with_regadd(CONTROL);
    transfer(hw, write.with_data(control)).map(|_| ())
}

/// Switches the PHY's power off for as long as the interface is down. A management controller keeps
/// its link.
pub(crate) fn power_down(hw: &Hw<'_>) -> Result {
    if hw.chip.is_managed && hw.bar.read(MANC).smbus_en() {
        return Ok(());
    }
    set_power(hw, false)
}

/// Other bits of PHY Control (11.1.3; IEEE 802.3, 22.2.4.1).
const LOOPBACK: u16 = 1 << 14;
const SPEED_100: u16 = 1 << 13;
const SPEED_1000: u16 = 1 << 6;
const NEGOTIATION: u16 = 1 << 12;
const NEGOTIATE_NOW: u16 = 1 << 9;
const FULL_DUPLEX: u16 = 1 << 8;

/// Registers "Auto-Negotiation Advertisement" and "Link Partner Ability" (11.1.6, 11.1.7; IEEE 802.3,
/// 28.2.4.1).
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

/// Register "1000BASE-T Control", and its bits for half and full duplex (11.1.11).
const GIGABIT: Bounded<u32, 5> = Bounded::<u32, 5>::new::<9>();
const GIGABIT_HALF: u16 = 1 << 8;
const GIGABIT_FULL: u16 = 1 << 9;

/// Advertises modes to the link partner, and starts a negotiation.
pub(crate) fn negotiate(hw: &Hw<'_>, modes: LinkModes) -> Result {
    let mut offer = IEEE_802_3;
    for (mode, bit) in OFFERS {
        if modes.has(mode) {
            offer |= bit;
        }
    }
    write(hw, OFFER, offer)?;
    let mut gigabit = read(hw, GIGABIT)? & !(GIGABIT_HALF | GIGABIT_FULL);
    if modes.has(LinkModes::FULL_1000) {
        gigabit |= GIGABIT_FULL;
    }
    write(hw, GIGABIT, gigabit)?;
    write(hw, CONTROL, NEGOTIATION | NEGOTIATE_NOW)
}

/// Forces a mode of 10 or 100 Mbit/s, without negotiation.
pub(crate) fn force(hw: &Hw<'_>, mode: LinkModes) -> Result {
    let control = match mode {
        LinkModes::HALF_10 => 0,
        LinkModes::FULL_10 => FULL_DUPLEX,
        LinkModes::HALF_100 => SPEED_100,
        LinkModes::FULL_100 => SPEED_100 | FULL_DUPLEX,
        _ => return Err(EINVAL),
    };
    write(hw, CONTROL, control)
}

/// Switches the loopback to the MAC on; or off, and starts a negotiation.
pub(crate) fn set_loopback(hw: &Hw<'_>, on: bool) -> Result {
    let control = if on {
        LOOPBACK | SPEED_1000 | FULL_DUPLEX
    } else {
        NEGOTIATION | NEGOTIATE_NOW
    };
    write(hw, CONTROL, control)
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

/// Writes a register of the PHY for the user. Returns the resulting request for the link if the
/// register is PHY Control.
pub(crate) fn write_for_user(
    hw: &Hw<'_>,
    register: Bounded<u32, 5>,
    value: u16,
) -> Result<Option<LinkRequest>> {
    write(hw, register, value)?;
    Ok((register == CONTROL && value & POWER_DOWN == 0).then(|| request_of(value)))
}

/// Returns the request for the link that a value of PHY Control means.
fn request_of(control: u16) -> LinkRequest {
    if control & NEGOTIATION != 0 {
        return LinkRequest::Negotiate(SUPPORTED);
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
            assert!(request_of(control) == request);
        }
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
