// SPDX-License-Identifier: GPL-2.0-only

//! A beacon: takes Intel's 82540EM, the e1000 of QEMU (8086:100e), and has it send one frame with a
//! number in it. When the driver releases the card, it logs for how long it had the card.
//
// YOURS (builds, binds, time, beacon): the author had an x86 PC only, where this driver works,
// almost. Make it work on arm64 too: the same source for both, and without `unsafe`.

mod regs;

use core::arch::x86_64::_rdtsc;
use kernel::{
    bindings,
    device::{
        Bound,
        Core, //
    },
    dma::{
        Coherent,
        Device as _,
        DmaMask, //
    },
    io::{
        io_read,
        io_write,
        poll::read_poll_timeout,
        Io, //
    },
    num::Bounded,
    pci,
    prelude::*,
    time::Delta, //
};
use regs::*;

/// Place of the register Command in the configuration space, and its bit for the card's memory.
const PCI_COMMAND: usize = 0x04;
const PCI_COMMAND_MEMORY: u16 = 0x2;

/// Length of the frame in bytes: the shortest of Ethernet.
const LENGTH: usize = 60;

/// EtherType for experiments (IEEE 802).
const ETHERTYPE: u16 = 0x88b5;

/// Bits of a transmit descriptor's second half (3.3.3): end of packet, insert the checksum, report.
const COMMAND: u64 = 0b1011 << 24;

/// Bit of the same half: the card is done with the descriptor.
const DONE: u64 = 1 << 32;

/// Number of descriptors of the ring, eight, the smallest allowed; each has two words.
type Ring = Coherent<[u64; 16]>;

type Bar<'bound> = pci::Bar<'bound, END>;

struct Beacon;

/// The driver's state for a card.
struct Binding<'bound> {
    pdev: &'bound pci::Device<Bound>,
    since: u64,
}

kernel::pci_device_table!(
    PCI_TABLE,
    <Beacon as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(pci::Vendor::INTEL, 0x100e), ())]
);

/// Returns milliseconds from the CPU's time stamp counter.
fn now() -> u64 {
    // SAFETY: Every CPU has this counter. The kernel measures its frequency at boot.
    unsafe { _rdtsc() / u64::from(bindings::tsc_khz) }
}

/// Returns a broadcast frame: after the two addresses and the type, the number in network order.
fn frame(bar: &Bar<'_>, number: u32) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    frame[..6].fill(0xff);
    frame[6..10].copy_from_slice(&bar.read(RAL).into_raw().to_le_bytes());
    frame[10..12].copy_from_slice(&bar.read(RAH).into_raw().to_le_bytes()[..2]);
    frame[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
    frame[14..18].copy_from_slice(&number.to_ne_bytes());
    frame
}

/// Has the card send the frame, and waits until it has. May sleep.
fn send(pdev: &pci::Device<Bound>, bar: &Bar<'_>, number: u32) -> Result {
    let frame = Coherent::from_slice(pdev.as_ref(), &frame(bar, number), GFP_KERNEL)?;
    let ring = Ring::zeroed(pdev.as_ref(), GFP_KERNEL)?;
    io_write!(ring, [build: 0], frame.dma_address().to_le());
    io_write!(ring, [build: 1], (COMMAND | LENGTH as u64).to_le());

    let base = ring.dma_address();
    bar.write_reg(TDBAL::from(base as u32));
    bar.write_reg(TDBAH::from((base >> 32) as u32));
    bar.write_reg(TDLEN::from(ring.size() as u32));
    bar.write_reg(TDH::zeroed());
    bar.write_reg(TDT::zeroed());
    bar.write_reg(
        TCTL::zeroed()
            .with_en(true)
            .with_psp(true)
            .with_const_ct::<0x0f>()
            .with_cold(Bounded::<u32, 10>::new::<0x40>()),
    );
    bar.write_reg(TDT::zeroed().with_const_value::<1>());
    let sent = read_poll_timeout(
        || Ok(u64::from_le(io_read!(ring, [build: 1]))),
        |second| second & DONE != 0,
        Delta::from_micros(100),
        Delta::from_secs(1),
    );

    // The memory is freed now, sent or not. The write has reached the card before the read returns.
    bar.write_reg(TCTL::zeroed());
    let _ = bar.read(TCTL);
    sent.map(|_| ())
}

impl pci::Driver for Beacon {
    type IdInfo = ();
    type Data<'bound> = Binding<'bound>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        let since = now();
        pdev.enable_device_mem()?;
        // The kernel does not enable a device twice, and Linux's Rust cannot disable it: a card that
        // has missed it would stay off, even for the next driver.
        let config = pdev.config_space();
        let command = config.read16(PCI_COMMAND);
        if command & PCI_COMMAND_MEMORY == 0 {
            config.write16(command | PCI_COMMAND_MEMORY, PCI_COMMAND);
        }
        pdev.set_master();
        // The machine has less than 1 GiB of memory: 30 bits reach all of it.
        // SAFETY: No code allocates DMA memory for the card yet.
        unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<30>())? };
        let bar = pdev.iomap_region_sized(0, c"beacon")?;
        let number = module_parameters::number.value();
        send(pdev, &bar, number)?;
        dev_info!(pdev, "sent {}\n", number);
        Ok(Binding { pdev, since })
    }
}

impl Drop for Binding<'_> {
    fn drop(&mut self) {
        let elapsed = now() - self.since;
        dev_info!(self.pdev, "had the card for {} ms\n", elapsed);
    }
}

kernel::module_pci_driver! {
    type: Beacon,
    name: "beacon",
    authors: ["You"],
    description: "Sends one frame with a number in it",
    license: "GPL",
    params: {
        number: u32 {
            default: 0,
            description: "Number to send",
        },
    },
}
