// SPDX-License-Identifier: GPL-2.0-only

//! Reads of the EEPROM, by the register EERD (5.3.1).

use crate::{
    hw::Hw,
    regs::EERD, //
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    prelude::*,
    time::Delta, //
};
use kit::net::MacAddress;

/// Sum of the words 00h to 3Fh (5.6.35).
const CHECKSUM: u16 = 0xbaba;

/// Reads a word.
///
/// # Errors
///
/// `ETIMEDOUT`: the EEPROM does not answer.
pub(crate) fn read_word(hw: &Hw<'_>, addr: u8) -> Result<u16> {
    hw.bar
        .write_reg(EERD::zeroed().with_start(true).with_addr(addr));
    let eerd = read_poll_timeout(
        || Ok(hw.bar.read(EERD)),
        |eerd| eerd.done(),
        Delta::from_micros(5),
        Delta::from_millis(10),
    )?;
    Ok(eerd.data().cast::<u16>().get())
}

/// Reads the Ethernet address, words 00h to 02h (5.6.1).
///
/// # Errors
///
/// `EIO`: the checksum is wrong. `EINVAL`: the address is not one of a station.
pub(crate) fn read_mac(hw: &Hw<'_>) -> Result<MacAddress> {
    // YOURS (mac): read the words 00h to 3Fh with `read_word`. The first three are the address, the
    // low byte of each first. If all 64 do not add up to `CHECKSUM`, it is no address: `Err(EIO)`.
    Ok(MacAddress::random())
}
