// SPDX-License-Identifier: GPL-2.0-only

//! Registers, EEPROM and LED, for `ethtool`.

use crate::{
    eeprom,
    hw::Hw,
    regs::*, //
};
use kernel::{
    io::Io,
    prelude::*, //
};
use kit::net::Lamp;

/// Version of the list of registers.
pub(crate) const VERSION: u32 = 1;

/// Number of registers in the list.
pub(crate) const REGISTERS: usize = 14;

/// Field of LEDCTL for the first LED, and its values "on" and "off" (13.4.15).
const LAMP: u32 = 0xf;
const LAMP_ON: u32 = 0xe;
const LAMP_OFF: u32 = 0xf;

/// Reads the registers of the list; reading changes none of them. Those that the card lacks are 0.
pub(crate) fn registers(hw: &Hw<'_>, values: &mut [u32]) {
    let bar = &hw.bar;
    let all: [u32; REGISTERS] = [
        bar.read(CTRL).into_raw(),
        bar.read(STATUS).into_raw(),
        bar.read(RCTL).into_raw(),
        bar.read(RDLEN).into_raw(),
        bar.read(RDH).into_raw(),
        bar.read(RDT).into_raw(),
        bar.read(RDTR).into_raw(),
        bar.read(TCTL).into_raw(),
        bar.read(TDLEN).into_raw(),
        bar.read(TDH).into_raw(),
        bar.read(TDT).into_raw(),
        bar.read(TIDV).into_raw(),
        if hw.chip.throttles {
            bar.read(ITR).into_raw()
        } else {
            0
        },
        if hw.chip.has_led_control {
            bar.read(LEDCTL).into_raw()
        } else {
            0
        },
    ];
    for (value, register) in values.iter_mut().zip(all) {
        *value = register;
    }
}

/// Reads bytes of the EEPROM, from an offset in bytes.
pub(crate) fn eeprom(hw: &Hw<'_>, offset: u32, bytes: &mut [u8]) -> Result {
    for (at, byte) in (offset..).zip(bytes) {
        let word = eeprom::read_word(hw, u8::try_from(at / 2)?)?.to_le_bytes();
        *byte = if at % 2 == 0 { word[0] } else { word[1] };
    }
    Ok(())
}

/// Switches the first LED. `former` is the value of its register before the first call of a sequence;
/// the result is `former` for the next call.
pub(crate) fn lamp(hw: &Hw<'_>, lamp: Lamp, former: u32) -> u32 {
    if !hw.chip.has_led_control {
        return pin(hw, lamp, former);
    }
    let now = hw.bar.read(LEDCTL).into_raw();
    let write = |value: u32| hw.bar.write_reg(LEDCTL::from(value));
    match lamp {
        Lamp::Begin => return now,
        Lamp::On => write((now & !LAMP) | LAMP_ON),
        Lamp::Off => write((now & !LAMP) | LAMP_OFF),
        Lamp::End => write(former),
    }
    former
}

/// Switches the LED at the software definable pin 0, which shines while the pin is low. Arguments and
/// result are those of [`lamp`].
fn pin(hw: &Hw<'_>, lamp: Lamp, former: u32) -> u32 {
    let write = |high: bool, output: bool| {
        hw.bar
            .update(CTRL, |ctrl| ctrl.with_swdpin0(high).with_swdpio0(output));
    };
    match lamp {
        Lamp::Begin => return hw.bar.read(CTRL).into_raw(),
        Lamp::On => write(false, true),
        Lamp::Off => write(true, true),
        Lamp::End => {
            let former = CTRL::from(former);
            write(former.swdpin0(), former.swdpio0());
        }
    }
    former
}
