// SPDX-License-Identifier: GPL-2.0-only

//! Reads of the EEPROM, by the register EERD (5.3.1) or by its pins (`microwire`).

use crate::{
    chip::Eeprom,
    hw::Hw,
    microwire,
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
    if hw.chip.eeprom == Eeprom::Pins {
        return microwire::read_word(hw, addr);
    }
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
    let mut sum = 0u16;
    let mut mac = [0; 6];
    for addr in 0..0x40 {
        let word = read_word(hw, addr)?;
        sum = sum.wrapping_add(word);
        if let Some(bytes) = mac.chunks_exact_mut(2).nth(usize::from(addr)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    if sum != CHECKSUM {
        return Err(EIO);
    }
    // The second port has the first one's address with the last bit inverted (5.6.1).
    mac[5] ^= hw.port() as u8;
    let mac = MacAddress(mac);
    if !mac.is_valid() {
        return Err(EINVAL);
    }
    Ok(mac)
}
