// SPDX-License-Identifier: GPL-2.0-only

//! The PHY, reached through MDIC (13.4.7).

use crate::{
    hw::Hw,
    regs::MDIC, //
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

/// The PHY's address on the internal bus.
const ADDRESS: Bounded<u32, 5> = Bounded::<u32, 5>::new::<1>();

/// PHY Identifier, the first half.
pub(crate) const PHY_ID1: Bounded<u32, 5> = Bounded::<u32, 5>::new::<2>();

/// The operation "read".
const READ: Bounded<u32, 2> = Bounded::<u32, 2>::new::<2>();

/// The operation "write".
const WRITE: Bounded<u32, 2> = Bounded::<u32, 2>::new::<1>();

/// PHY Control.
const CONTROL: Bounded<u32, 5> = Bounded::<u32, 5>::new::<0>();

/// The bit of PHY Control that takes the PHY's power away (11.1.3).
const POWER_DOWN: u16 = 1 << 11;

/// Reads a register of the PHY.
pub(crate) fn read(hw: &Hw<'_>, register: Bounded<u32, 5>) -> Result<u16> {
    let mdic = transfer(hw, MDIC::zeroed().with_op(READ).with_regadd(register))?;
    Ok(mdic.data().cast::<u16>().get())
}

/// Switches the PHY on or off. Without power it has no link, and only answers here (11.4.2). Nobody
/// but the driver switches it on again: one that was loaded before may have left it off.
pub(crate) fn set_power(hw: &Hw<'_>, on: bool) -> Result {
    let control = read(hw, CONTROL)? & !POWER_DOWN;
    let control = if on { control } else { control | POWER_DOWN };
    let write = MDIC::zeroed().with_op(WRITE).with_regadd(CONTROL);
    transfer(hw, write.with_data(control)).map(|_| ())
}

/// Has the MAC carry out one operation on the PHY's bus.
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
