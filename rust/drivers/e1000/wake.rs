// SPDX-License-Identifier: GPL-2.0-only

//! Wake-on-LAN, by ACPI power management (6.4.2).

use crate::{
    eeprom,
    hw::Hw,
    phy,
    regs::*, //
};
use kernel::{
    io::Io,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};
use kit::net::{
    MacAddress,
    WakeOn, //
};

/// Kinds of frames that can wake the system: the filters that need no IP address (6.4.3.1).
const SUPPORTED: WakeOn = WakeOn::UNICAST
    .with(WakeOn::MULTICAST)
    .with(WakeOn::BROADCAST)
    .with(WakeOn::MAGIC);

/// Kinds of frames that can wake the system, and those of them that are to.
pub(crate) struct Wake {
    possible: WakeOn,
    /// Bits of [`WakeOn`]; guarded by the RTNL lock.
    wanted: Atomic<u32>,
}

impl Wake {
    /// Returns the default by the board's manufacturer: magic packets, if the EEPROM enables wake-up
    /// by APM, which is by these (6.4.1). The second port of a board can wake the system only then.
    pub(crate) fn of_eeprom(hw: &Hw<'_>) -> Self {
        let apm = &hw.chip.apm[hw.port()];
        let is_enabled = matches!(eeprom::read_word(hw, apm.word), Ok(word) if word & apm.bit != 0);
        let (possible, wanted) = defaults(hw.chip.wakes, hw.port(), is_enabled);
        Self {
            possible,
            wanted: Atomic::new(wanted.into_raw()),
        }
    }

    /// Returns the possible kinds and the wanted ones.
    pub(crate) fn kinds(&self) -> (WakeOn, WakeOn) {
        (self.possible, WakeOn::from_raw(self.wanted.load(Relaxed)))
    }

    /// Keeps the wanted kinds.
    pub(crate) fn want(&self, wanted: WakeOn) {
        self.wanted.store(wanted.into_raw(), Relaxed);
    }
}

/// Returns the possible kinds of frames and the wanted ones, by the board, the port and the EEPROM.
fn defaults(wakes: bool, port: usize, is_enabled: bool) -> (WakeOn, WakeOn) {
    match (wakes, port, is_enabled) {
        (true, _, true) => (SUPPORTED, WakeOn::MAGIC),
        (true, 0, false) => (SUPPORTED, WakeOn::NONE),
        _ => (WakeOn::NONE, WakeOn::NONE),
    }
}

/// Lets a card wait for frames after a reset. None is written to memory, since the card has no
/// receive ring.
pub(crate) fn arm(hw: &Hw<'_>, mac: MacAddress, wanted: WakeOn) -> Result {
    let bar = &hw.bar;
    phy::power_up(hw)?;
    hw.configure();
    hw.set_address(0, Some(mac));
    // A frame has to pass the filters of addresses first. Magic packets may be broadcast.
    bar.write_reg(
        RCTL::zeroed()
            .with_en(true)
            .with_bam(wanted.has(WakeOn::BROADCAST) || wanted.has(WakeOn::MAGIC))
            .with_mpe(wanted.has(WakeOn::MULTICAST)),
    );
    if hw.chip.keeps_phy_awake {
        bar.update(CTRL, |ctrl| {
            ctrl.with_advd3wuc(true).with_en_phy_pwr_mgmt(true)
        });
    }
    bar.write_reg(WUS::from(!0));
    bar.write_reg(
        WUFC::zeroed()
            .with_mag(wanted.has(WakeOn::MAGIC))
            .with_ex(wanted.has(WakeOn::UNICAST))
            .with_mc(wanted.has(WakeOn::MULTICAST))
            .with_bc(wanted.has(WakeOn::BROADCAST)),
    );
    bar.write_reg(WUC::zeroed().with_pme_en(true));
    // Flushes posted writes, before the power state changes.
    let _ = bar.read(WUC);
    Ok(())
}

/// Ends the wait for frames, and disables wake-up by APM.
pub(crate) fn disarm(hw: &Hw<'_>) {
    let bar = &hw.bar;
    if bar.read(WUC).pme_en() {
        bar.write_reg(RCTL::zeroed());
    }
    bar.write_reg(WUC::zeroed());
    bar.write_reg(WUFC::zeroed());
    bar.write_reg(WUS::from(!0));
}

#[cfg(r4l_kunit)]
#[kunit_tests(e1000_wake)]
mod tests {
    use super::*;

    #[test]
    fn a_second_port_wakes_by_the_eeprom_only() {
        for (wakes, port, is_enabled, expected) in [
            (true, 0, true, (SUPPORTED, WakeOn::MAGIC)),
            (true, 0, false, (SUPPORTED, WakeOn::NONE)),
            (true, 1, true, (SUPPORTED, WakeOn::MAGIC)),
            (true, 1, false, (WakeOn::NONE, WakeOn::NONE)),
            (false, 0, true, (WakeOn::NONE, WakeOn::NONE)),
        ] {
            assert!(defaults(wakes, port, is_enabled) == expected);
        }
    }
}
