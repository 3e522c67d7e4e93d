// SPDX-License-Identifier: GPL-2.0-only

//! The card tested by itself: `ethtool -t`.

use crate::{
    desc::{
        Descriptors,
        RxStatus,
        TxData,
        BYTES,
        COUNT, //
    },
    eeprom,
    hw::Hw,
    phy,
    regs::*, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    dma::Coherent,
    io::{
        register::Array,
        Io, //
    },
    num::Bounded,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kit::{
    barrier::{
        dma_rmb,
        dma_wmb, //
    },
    dma::{
        coherent_address,
        dma_read,
        dma_write, //
    }, //
};

/// The tests, under the names that e1000 drivers give them.
pub(crate) const NAMES: [&str; 5] = [
    "Register test  (offline)",
    "Eeprom test    (offline)",
    "Interrupt test (offline)",
    "Loopback test  (offline)",
    "Link test   (on/offline)",
];

/// Values that between them have each bit in both states, and each two neighbours different.
const PATTERNS: [u32; 4] = [0x5555_5555, 0xaaaa_aaaa, 0, !0];

/// The 64-bit words of the frame that is looped, and of the memory that it comes back to.
const FRAME: usize = 128;
const BUFFER: usize = 256;

/// Whether there is a link.
pub(crate) fn link(hw: &Hw<'_>) -> Result {
    hw.link().map(|_| ()).ok_or(EIO)
}

/// All but the link, with a card that is stopped.
pub(crate) fn offline(hw: &Hw<'_>, dev: &Device<Bound>) -> [Result; 4] {
    [
        registers(hw),
        eeprom::read_mac(hw).map(|_| ()),
        interrupts(hw),
        loopback(hw, dev),
    ]
}

/// Registers keep what is written to them.
fn registers(hw: &Hw<'_>) -> Result {
    /// Writes each pattern to a register and reads it back, as far as the register has the bits.
    macro_rules! keeps {
        ($register:ident, $mask:expr) => {
            for pattern in PATTERNS {
                hw.bar.write_reg($register::from(pattern & $mask));
                if hw.bar.read($register).into_raw() & $mask != pattern & $mask {
                    return Err(EIO);
                }
            }
        };
    }

    // Addresses of rings are multiples of 16, their lengths multiples of 128 (13.4.25 to 13.4.27).
    keeps!(RDBAL, 0xffff_fff0);
    keeps!(RDBAH, !0);
    keeps!(RDLEN, 0x000f_ff80);
    keeps!(TDBAL, 0xffff_fff0);
    keeps!(TDBAH, !0);
    keeps!(TDLEN, 0x000f_ff80);
    for pattern in PATTERNS {
        for i in 0..128 {
            hw.set_multicast_word(i, pattern);
        }
        for i in 0..128 {
            let word = MTA::try_at(i).map(|location| hw.bar.read(location).into_raw());
            if word != Some(pattern) {
                return Err(EIO);
            }
        }
    }
    Ok(())
}

/// A cause that is set is seen, once. All are masked, so nobody is interrupted.
fn interrupts(hw: &Hw<'_>) -> Result {
    hw.mask();
    let _ = hw.take_causes();
    for bit in [0, 2, 4, 6, 7] {
        let cause = 1 << bit;
        hw.bar.write_reg(ICS::from(cause));
        if hw.take_causes().into_raw() & cause == 0 || hw.take_causes().into_raw() & cause != 0 {
            return Err(EIO);
        }
    }
    Ok(())
}

/// A frame that the PHY sends back comes in as it went out.
fn loopback(hw: &Hw<'_>, dev: &Device<Bound>) -> Result {
    phy::set_power(hw, true)?;
    phy::set_loopback(hw, true)?;
    let result = send_to_ourselves(hw, dev);
    hw.reset();
    phy::set_loopback(hw, false)?;
    phy::set_power(hw, false)?;
    result
}

/// A word of the frame: its first six bytes are the broadcast address, the rest tells its place.
fn word(index: usize) -> u64 {
    match index {
        0 => !0,
        _ => 0x0102_0304_0506_0708u64.wrapping_mul(index as u64),
    }
}

fn send_to_ourselves(hw: &Hw<'_>, dev: &Device<Bound>) -> Result {
    let (tx, rx) = (Descriptors::new(dev, COUNT)?, Descriptors::new(dev, COUNT)?);
    let out: Coherent<[u64; FRAME]> = Coherent::zeroed(dev, GFP_KERNEL)?;
    let back: Coherent<[u64; BUFFER]> = Coherent::zeroed(dev, GFP_KERNEL)?;
    for i in 0..FRAME {
        dma_write!(out, [build: i % FRAME], word(i));
    }
    rx.write(0, coherent_address(&back), 0);
    dma_wmb();
    hw.set_rx_ring(rx.dma_addr(), BYTES, 1);
    hw.set_tx_ring(tx.dma_addr(), BYTES);
    // The PHY does not negotiate, so the MAC is told its speed (13.4.1).
    hw.bar.update(CTRL, |ctrl| {
        ctrl.with_slu(true)
            .with_frcspd(true)
            .with_frcdplx(true)
            .with_const_speed::<2>()
            .with_fd(true)
    });
    hw.bar
        .write_reg(RCTL::zeroed().with_en(true).with_bam(true).with_secrc(true));
    // A legacy descriptor (3.3.3). The link may need a moment, and an emulated receiver a second.
    let frame = TxData::zeroed()
        .with_length(Bounded::<u64, 20>::from((8 * FRAME) as u16))
        .with_eop(true)
        .with_ifcs(true)
        .with_rs(true);
    for i in 0..20 {
        tx.write(i, coherent_address(&out), frame.into_raw());
        dma_wmb();
        hw.set_tx_tail(i + 1);
        fsleep(Delta::from_millis(100));
        if RxStatus::from(rx.read(0)).dd() {
            break;
        }
    }
    let status = RxStatus::from(rx.read(0));
    if !status.dd() {
        return Err(ETIMEDOUT);
    }
    dma_rmb();
    let status = RxStatus::from(rx.read(0));
    let length = status.length().cast::<u32>().get() as usize;
    let same = (0..FRAME).all(|i| dma_read!(back, [build: i % BUFFER]) == word(i));
    if !status.eop() || status.is_bad() || length != 8 * FRAME || !same {
        return Err(EIO);
    }
    Ok(())
}
