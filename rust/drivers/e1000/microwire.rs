// SPDX-License-Identifier: GPL-2.0-only

//! The EEPROM, a Microwire chip (93C46 or 93C66, 5.3), by its pins in EECD (13.4.3). `eeprom` has the
//! other way to read it.

use crate::{
    chip::Eeprom,
    eeprom,
    hw::Hw,
    regs::EECD, //
};
use kernel::{
    io::{
        poll::read_poll_timeout,
        Io, //
    },
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// Sum of the words 00h to 3Fh, of which the last is the checksum (5.6.35).
const CHECKSUM: u16 = 0xbaba;
const CHECKSUM_AT: u8 = 0x3f;

/// Instructions of three bits, the first of which is the start bit.
const READ: u32 = 0b110;
const WRITE: u32 = 0b101;
/// Instruction whose two upper bits of the address select an operation.
const EXTENDED: u32 = 0b100;
const WRITE_ENABLE: u32 = 0b11;
const WRITE_DISABLE: u32 = 0b00;

/// Half a period of the clock, which is at most 250 kHz for the slowest of these chips.
const HALF_PERIOD: Delta = Delta::from_micros(2);

/// Longest time that a write of a word takes.
const WRITE_TIME: Delta = Delta::from_millis(20);

/// Returns the number of bits of an address: the EEPROM has 64 or 256 words.
fn address_bits(hw: &Hw<'_>) -> u32 {
    if hw.chip.eeprom == Eeprom::Shared && hw.bar.read(EECD).has_256_words() {
        8
    } else {
        6
    }
}

/// Returns the size of the EEPROM in bytes.
pub(crate) fn bytes(hw: &Hw<'_>) -> u32 {
    2 << address_bits(hw)
}

/// Reads a word.
///
/// # Errors
///
/// `ETIMEDOUT`: the pins are not granted.
pub(crate) fn read_word(hw: &Hw<'_>, addr: u8) -> Result<u16> {
    Ok(Pins::take(hw)?.read(addr))
}

/// Writes bytes, and then the checksum over the words 00h to 3Fh. Only words that change are
/// written, since a chip endures a million writes.
pub(crate) fn write(hw: &Hw<'_>, offset: u32, bytes: &[u8]) -> Result {
    let mut bytes = bytes.iter().copied().peekable();
    let mut at = offset;
    while bytes.peek().is_some() {
        let addr = u8::try_from(at / 2)?;
        let mut word = eeprom::read_word(hw, addr)?.to_le_bytes();
        for half in word.iter_mut().skip((at % 2) as usize) {
            if let Some(byte) = bytes.next() {
                *half = byte;
                at += 1;
            }
        }
        set_word(hw, addr, u16::from_le_bytes(word))?;
    }
    let mut sum = 0u16;
    for addr in 0..CHECKSUM_AT {
        sum = sum.wrapping_add(eeprom::read_word(hw, addr)?);
    }
    set_word(hw, CHECKSUM_AT, CHECKSUM.wrapping_sub(sum))
}

/// Gives a word a value.
///
/// # Errors
///
/// `EIO`: the EEPROM does not keep the value; it may be protected, or emulated.
fn set_word(hw: &Hw<'_>, addr: u8, value: u16) -> Result {
    if eeprom::read_word(hw, addr)? == value {
        return Ok(());
    }
    // Reads by EERD wait until the pins are given back.
    Pins::take(hw)?.write(addr, value)?;
    if eeprom::read_word(hw, addr)? != value {
        return Err(EIO);
    }
    Ok(())
}

/// The EEPROM's pins, reserved for the driver until this is dropped.
struct Pins<'a, 'bound> {
    hw: &'a Hw<'bound>,
    address_bits: u32,
}

impl<'a, 'bound> Pins<'a, 'bound> {
    /// Requests the pins, which the hardware uses, too.
    fn take(hw: &'a Hw<'bound>) -> Result<Self> {
        let pins = Self {
            hw,
            address_bits: address_bits(hw),
        };
        let is_shared = hw.chip.eeprom == Eeprom::Shared;
        pins.update(|eecd| {
            eecd.with_clock(false)
                .with_select(false)
                .with_data_in(false)
                .with_request(is_shared)
        });
        if is_shared {
            read_poll_timeout(
                || Ok(hw.bar.read(EECD)),
                |eecd| eecd.grant(),
                Delta::from_micros(5),
                Delta::from_millis(10),
            )?;
        }
        Ok(pins)
    }
}

impl Pins<'_, '_> {
    fn update(&self, change: impl FnOnce(EECD) -> EECD) {
        self.hw.bar.update(EECD, change);
        // Flushes posted writes.
        let _ = self.hw.bar.read(EECD);
        fsleep(HALF_PERIOD);
    }

    /// Clocks bits into the chip, the highest first.
    fn send(&self, bits: u32, count: u32) {
        for i in (0..count).rev() {
            let bit = bits >> i & 1 != 0;
            self.update(|eecd| eecd.with_clock(false).with_data_in(bit));
            self.update(|eecd| eecd.with_clock(true));
        }
        self.update(|eecd| eecd.with_clock(false).with_data_in(false));
    }

    /// Sends an instruction, which the chip begins when it is deselected.
    fn instruct(&self, instruction: u32, address: u32, data: Option<u16>) {
        self.update(|eecd| eecd.with_select(true));
        self.send(instruction, 3);
        self.send(address, self.address_bits);
        if let Some(data) = data {
            self.send(data.into(), 16);
        }
        self.update(|eecd| eecd.with_select(false));
    }

    /// Reads a word, the highest bit first: each appears when the clock rises.
    fn read(&self, addr: u8) -> u16 {
        self.update(|eecd| eecd.with_select(true));
        self.send(READ, 3);
        self.send(addr.into(), self.address_bits);
        let mut word = 0;
        for _ in 0..16 {
            self.update(|eecd| eecd.with_clock(true));
            word = word << 1 | u16::from(self.hw.bar.read(EECD).data_out());
            self.update(|eecd| eecd.with_clock(false));
        }
        self.update(|eecd| eecd.with_select(false));
        word
    }

    fn extended(&self, kind: u32) {
        self.instruct(EXTENDED, kind << (self.address_bits - 2), None);
    }

    /// Writes a word, and waits for the end of the write.
    fn write(&self, addr: u8, value: u16) -> Result {
        self.extended(WRITE_ENABLE);
        self.instruct(WRITE, addr.into(), Some(value));
        // A chip that is selected again signals the end of the write.
        self.update(|eecd| eecd.with_select(true));
        let done = read_poll_timeout(
            || Ok(self.hw.bar.read(EECD)),
            |eecd| eecd.data_out(),
            Delta::from_micros(100),
            WRITE_TIME,
        );
        self.update(|eecd| eecd.with_select(false));
        self.extended(WRITE_DISABLE);
        done.map(|_| ())
    }
}

impl Drop for Pins<'_, '_> {
    fn drop(&mut self) {
        self.update(|eecd| {
            eecd.with_clock(false)
                .with_select(false)
                .with_data_in(false)
                .with_request(false)
        });
    }
}
