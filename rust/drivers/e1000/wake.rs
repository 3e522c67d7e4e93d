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
    prelude::*, //
};
use kit::net::{
    MacAddress,
    WakeOn, //
};

/// Kinds of frames that can wake the system: the filters that need no IP address (6.4.3.1).
pub(crate) const SUPPORTED: WakeOn = WakeOn::UNICAST
    .with(WakeOn::MULTICAST)
    .with(WakeOn::BROADCAST)
    .with(WakeOn::MAGIC);

/// Returns the default by the board's manufacturer: magic packets, if the EEPROM enables wake-up by
/// APM, which is by these (6.4.1).
pub(crate) fn of_eeprom(hw: &Hw<'_>) -> WakeOn {
    match eeprom::read_word(hw, hw.chip.apm.word) {
        Ok(word) if word & hw.chip.apm.bit != 0 => WakeOn::MAGIC,
        _ => WakeOn::NONE,
    }
}

/// Lets a card wait for frames after a reset. None is written to memory, since the card has no
/// receive ring.
pub(crate) fn arm(hw: &Hw<'_>, mac: MacAddress, wanted: WakeOn) -> Result {
    let bar = &hw.bar;
    phy::set_power(hw, true)?;
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
