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

/// Reads a register of the PHY.
pub(crate) fn read(hw: &Hw<'_>, register: Bounded<u32, 5>) -> Result<u16> {
    hw.bar.write_reg(
        MDIC::zeroed()
            .with_op(READ)
            .with_phyadd(ADDRESS)
            .with_regadd(register),
    );
    let mdic = read_poll_timeout(
        || Ok(hw.bar.read(MDIC)),
        |mdic| mdic.ready(),
        Delta::from_micros(50),
        Delta::from_millis(10),
    )?;
    if mdic.error() {
        return Err(EIO);
    }
    Ok(mdic.data().cast::<u16>().get())
}
