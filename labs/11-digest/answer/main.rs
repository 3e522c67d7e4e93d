// SPDX-License-Identifier: GPL-2.0-only

//! A driver for the digest engine (1b36:d16e), a device that exists in Python only: `digest.py` is
//! the device, and its data sheet.
//!
//! ```text
//! # printf abc > /sys/kernel/debug/digest/sha256
//! # cat /sys/kernel/debug/digest/sha256
//! ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
//! ```
//!
//! `engine` works the device. This file binds to it, and has the file in debugfs.

#![forbid(unsafe_code)]
// --- starter
//| // Some items are not used yet. Remove this line when you are done.
//| #![allow(dead_code, unused_imports)]
// --- end

mod engine;
mod regs;

use engine::{
    Engine,
    Running, //
};
use kernel::{
    debugfs,
    device::{
        Bound,
        Core, //
    },
    fmt,
    io::Io,
    pci,
    prelude::*,
    sync::Arc,
    uaccess::UserSliceReader, //
};

/// Place of the register Command in the configuration space, and its bit for the device's memory.
const COMMAND: usize = 0x04;
const COMMAND_MEMORY: u16 = 0x2;

/// Value of `ID.kind`.
const KIND: u32 = 0xd16e;

/// The driver.
struct Digest;

/// The driver's hold on one device.
#[pin_data]
struct Binding {
    // Dropped first: waits for processes that read or write the file.
    #[pin]
    _file: debugfs::File<Arc<Engine>>,
    _dir: debugfs::Dir,
    _running: Running,
}

kernel::pci_device_table!(
    PCI_TABLE,
    <Digest as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(pci::Vendor::REDHAT, KIND), ())]
);

/// Implements read(2) of the file: the last digest as hexadecimal digits, or nothing.
fn show(engine: &Arc<Engine>, to: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(digest) = engine.last() {
        for byte in digest {
            write!(to, "{byte:02x}")?;
        }
        writeln!(to)?;
    }
    Ok(())
}

/// Implements write(2) of the file: the message of one write.
fn store(engine: &Arc<Engine>, from: &mut UserSliceReader) -> Result {
    if from.len() > engine::LONGEST {
        return Err(EMSGSIZE);
    }
    let mut message = KVec::from_elem(0, from.len(), GFP_KERNEL)?;
    from.read_slice(&mut message)?;
    engine.compute(&message)
}

impl pci::Driver for Digest {
    type IdInfo = ();
    type Data<'bound> = Binding;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            let bound: &'bound pci::Device<Bound> = pdev;

            pdev.enable_device_mem()?;
            // The kernel does not enable a device twice, and Linux's Rust cannot disable it: one
            // that has missed it would stay off, even for the next driver.
            let config = pdev.config_space();
            let command = config.read16(COMMAND);
            if command & COMMAND_MEMORY == 0 {
                config.write16(command | COMMAND_MEMORY, COMMAND);
            }
            let bar = bound.iomap_region_sized(0, c"r4l_digest")?;
            // --- starter
            //| // YOURS (identity): read `regs::ID`. If its kind is not `KIND`, say so, and return
            //| // ENODEV.
            // --- answer
            let id = bar.read(regs::ID);
            if id.kind() != KIND {
                dev_err!(pdev, "this is no digest engine: {:#010x}\n", id.into_raw());
                return Err(ENODEV);
            }
            // --- end
            pdev.set_master();
            let engine = Engine::new(bound, bar.into_devres()?)?;
            let types = pci::IrqTypes::default().with(pci::IrqType::Intx);
            // Before the handler: a device that was left at work interrupts at once.
            let running = Running::new(engine.clone())?;
            kit::irq::request(bound, types, c"r4l_digest", engine.clone())?;
            let dir = debugfs::Dir::new(c"digest");
            Ok(try_pin_init!(Binding {
                _file <- dir.read_write_callback_file(c"sha256", engine, &show, &store),
                _dir: dir,
                _running: running,
            }))
        })
    }
}

kernel::module_pci_driver! {
    type: Digest,
    name: "r4l_digest",
    authors: ["The r4l authors"],
    description: "The digest engine, a device in Python, in Rust",
    license: "GPL",
}
