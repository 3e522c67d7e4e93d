// SPDX-License-Identifier: GPL-2.0-only

//! A driver for Intel's 82540EM Gigabit Ethernet controller, the e1000 that QEMU emulates, and for
//! its sisters 82544EI, 82544GC and 82545EM.
//!
//! Written from Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's
//! Manual". Each file has one job:
//!
//! * `regs`, `desc`: registers and descriptors as the manual has them.
//! * `chip`: what the cards do not have in common.
//! * `hw`: the card apart from its rings. `eeprom`, `microwire`, `phy`: ways into it.
//! * `rx`, `tx`, `filter`: what exists only between open and stop.
//! * `features`: what the card does for the stack.
//! * `recovery`: errors of the bus. `wake`: wake-on-LAN.
//! * `statistics`, `watchdog`: what is looked at every two seconds.
//! * `setup`, `dump`, `selftest`: what the user sets, sees and tests with `ethtool`.
//! * `nic`: the network device.

#![forbid(unsafe_code)]

mod chip;
mod desc;
mod dump;
mod eeprom;
mod features;
mod filter;
mod hw;
mod microwire;
mod nic;
mod phy;
mod recovery;
mod regs;
mod rx;
mod selftest;
mod setup;
mod statistics;
mod tx;
mod wake;
mod watchdog;

use chip::Chip;
use hw::Hw;
use kernel::{
    device::{
        self,
        Bound,
        Core, //
    },
    pci,
    prelude::*, //
};
use kit::net::MacAddress;
use nic::Nic;

/// The driver.
struct E1000;

kit::pci_device_table!(
    PCI_TABLE,
    <E1000 as kit::pci::Driver>::IdInfo,
    [
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, chip::I82540EM.device),
            chip::I82540EM
        ),
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, chip::I82544EI.device),
            chip::I82544EI
        ),
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, chip::I82544GC.device),
            chip::I82544GC
        ),
        (
            pci::DeviceId::from_id(pci::Vendor::INTEL, chip::I82545EM.device),
            chip::I82545EM
        ),
    ]
);

impl kit::pci::Driver for E1000 {
    type IdInfo = Chip;
    type Nic<'bound> = Nic<'bound>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    // The cards can do more on some buses, but need no more on any.
    const DMA_BITS: u32 = 32;

    const USES_PORTS: bool = true;

    const ERROR_HANDLERS: kit::pci::ErrorHandlers<Self> = kit::pci::ErrorHandlers::new();

    fn irq_types() -> pci::IrqTypes {
        pci::IrqTypes::default().with(pci::IrqType::Intx)
    }

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Nic<'bound>, Error> + 'bound {
        let bound: &'bound pci::Device<Bound> = pdev;
        let hw = Hw {
            bar: bound.iomap_region_sized(0, c"r4l_e1000")?,
            // The user may have forced the driver upon a card that it does not know.
            chip: info.unwrap_or(&chip::I82540EM),
        };
        let ports = kit::pci::Ports::new(bound.as_ref(), c"r4l_e1000").ok();
        hw.reset_by(ports.as_ref());
        // The network device requests them again.
        drop(ports);
        // Without an address of its own the card works as soon as it is given one: `ip link set
        // eth0 address ...`. Until then it cannot be set up.
        let mac = eeprom::read_mac(&hw).unwrap_or_else(|error| {
            dev_err!(pdev, "no address in the EEPROM: {:?}\n", error);
            MacAddress::NONE
        });
        let phy_id1 = phy::read(&hw, phy::PHY_ID1)?;
        dev_info!(
            pdev,
            "probe: MAC {}, PHY_ID1 {:#06x}, {}\n",
            mac,
            phy_id1,
            hw.chip.name
        );
        Ok(Nic::new(hw, bound.as_ref(), mac))
    }

    fn removed(dev: &device::Device<Bound>) {
        dev_info!(dev, "remove\n");
    }

    fn load() {
        pr_info!("init\n");
    }

    fn unloaded() {
        pr_info!("exit\n");
    }
}

kit::module_pci_net_driver! {
    type: E1000,
    name: "r4l_e1000",
    authors: ["The r4l authors"],
    description: "Intel 82540EM, 82544, 82545EM Gigabit Ethernet, in Rust",
    license: "GPL v2",
    params: {
        copybreak: u32 {
            default: 256,
            description: "Frames of up to so many bytes are copied when they are received",
        },
        debug: i32 {
            default: -1,
            description: "Kinds of messages that are wanted: 0 to 16; -1 for the usual three",
        },
    },
}
