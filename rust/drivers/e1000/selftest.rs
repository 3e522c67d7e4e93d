// SPDX-License-Identifier: GPL-2.0-only

//! Self-test of the card (`ethtool -t`).

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
    },
    net::MacAddress, //
};

/// Names of the tests, as other e1000 drivers have them.
pub(crate) const NAMES: [&str; 5] = [
    "Register test  (offline)",
    "Eeprom test    (offline)",
    "Interrupt test (offline)",
    "Loopback test  (offline)",
    "Link test   (on/offline)",
];

/// Values with each bit in both states, and with neighbouring bits that differ.
const PATTERNS: [u32; 4] = [0x5555_5555, 0xaaaa_aaaa, 0, !0];

/// Sizes of the looped frame and of the memory for its reception, in words of 64 bits.
const FRAME: usize = 128;
const BUFFER: usize = 256;

/// Address that the card has during the loopback test: nobody else sends to it, and emulated cards go on receiving
/// from the wire.
const OURSELVES: MacAddress = MacAddress([0x02, b'r', b'4', b'l', 0, 1]);

/// Tests the link.
pub(crate) fn link(hw: &Hw<'_>) -> Result {
    hw.link().map(|_| ()).ok_or(EIO)
}

/// Runs all other tests, on a stopped card.
pub(crate) fn offline(hw: &Hw<'_>, dev: &Device<Bound>) -> [Result; 4] {
    [
        registers(hw),
        eeprom::read_mac(hw).map(|_| ()),
        interrupts(hw),
        loopback(hw, dev),
    ]
}

/// Tests that registers keep written values.
fn registers(hw: &Hw<'_>) -> Result {
    // Writes each pattern to a register and compares the bits that the register has.
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

    // Addresses of rings are multiples of 16, their lengths multiples of 128 (13.4.25 to
    // 13.4.27, 13.4.36 to 13.4.38).
    keeps!(RDBAL, 0xffff_fff0);
    keeps!(RDBAH, !0);
    keeps!(RDLEN, 0x000f_ff80);
    keeps!(TDBAL, 0xffff_fff0);
    keeps!(TDBAH, !0);
    keeps!(TDLEN, 0x000f_ff80);
    for pattern in PATTERNS {
        // From the last word to the first, as `configure` does.
        for i in (0..128).rev() {
            hw.set_multicast_word(i, pattern);
        }
        for i in 0..128 {
            let word = MTA::try_at(i).map(|location| hw.bar.read(location).into_raw());
            if word != Some(pattern) {
                return Err(EIO);
            }
        }
    }
    // A full table lets all multicast frames in, and on QEMU's card all others, too.
    for i in (0..128).rev() {
        hw.set_multicast_word(i, 0);
    }
    Ok(())
}

/// Tests that a cause of an interrupt can be set and is read once. All causes are masked meanwhile.
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

/// Tests that a frame is received unchanged when the PHY sends it back. Leaves the PHY without power,
/// and with other settings than the user's: those are set by the next open.
fn loopback(hw: &Hw<'_>, dev: &Device<Bound>) -> Result {
    phy::set_power(hw, true)?;
    let result = phy::set_loopback(hw, true).and_then(|()| send_to_ourselves(hw, dev));
    let ended = phy::set_loopback(hw, false);
    let off = phy::power_down(hw);
    result.and(ended).and(off)
}

/// Rings and memory of the loopback test.
struct Loop<'bound> {
    tx: Descriptors<'bound>,
    rx: Descriptors<'bound>,
    out: Coherent<[u64; FRAME]>,
    back: Coherent<[u64; BUFFER]>,
}

/// Returns a word of the frame: [`OURSELVES`] in the first six bytes, then a pattern.
fn word(index: usize) -> u64 {
    let [a, b, c, d, e, f] = OURSELVES.0;
    match index {
        0 => u64::from_le_bytes([a, b, c, d, e, f, 0x02, 0]),
        _ => 0x0102_0304_0506_0708u64.wrapping_mul(index as u64),
    }
}

fn send_to_ourselves(hw: &Hw<'_>, dev: &Device<Bound>) -> Result {
    let memory = Loop {
        tx: Descriptors::new(dev, COUNT)?,
        rx: Descriptors::new(dev, COUNT)?,
        out: Coherent::zeroed(dev, GFP_KERNEL)?,
        back: Coherent::zeroed(dev, GFP_KERNEL)?,
    };
    let result = send_and_compare(hw, &memory);
    // Before the memory goes: a card that has failed may still read and write it.
    hw.reset();
    result
}

fn send_and_compare(hw: &Hw<'_>, memory: &Loop<'_>) -> Result {
    let Loop { tx, rx, out, back } = memory;
    for i in 0..FRAME {
        dma_write!(out, [build: i % FRAME], word(i));
    }
    rx.write(0, coherent_address(&memory.back), 0);
    dma_wmb();
    hw.set_address(0, Some(OURSELVES));
    hw.set_rx_ring(rx.dma_addr(), BYTES, 1);
    hw.set_tx_ring(tx.dma_addr(), BYTES);
    // The PHY does not negotiate in loopback, so the speed is forced (13.4.1).
    hw.bar.update(CTRL, |ctrl| {
        ctrl.with_slu(true)
            .with_frcspd(true)
            .with_frcdplx(true)
            .with_const_speed::<2>()
            .with_fd(true)
    });
    hw.bar
        .write_reg(RCTL::zeroed().with_en(true).with_secrc(true));
    // A legacy descriptor (3.3.3). The receiver of QEMU's card starts a second after a write to
    // RCTL.
    let frame = TxData::zeroed()
        .with_length(Bounded::<u64, 20>::from((8 * FRAME) as u16))
        .with_eop(true)
        .with_ifcs(true)
        .with_rs(true);
    for i in 0..20 {
        tx.write(i, coherent_address(&memory.out), frame.into_raw());
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
