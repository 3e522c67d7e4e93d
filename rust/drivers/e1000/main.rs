// SPDX-License-Identifier: GPL-2.0-only

//! Driver for Intel's Gigabit Ethernet controllers 82540, 82544, 82545 and 82546 with copper: the
//! 82540EM is the e1000 that QEMU emulates.
//!
//! Source of all facts about the hardware: Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers
//! Software Developer's Manual" (317453). Numbers in comments are its sections.
//!
//! * `regs`, `desc`: registers and descriptors.
//! * `chip`: differences between the controllers.
//! * `hw`: reset, general setup, addresses, interrupts, link.
//! * `eeprom`, `microwire`, `phy`: the EEPROM, read and written; the PHY.
//! * `rx`, `tx`, `filter`, `itr`: state of the open device.
//! * `features`: checksums and VLAN tags.
//! * `recovery`, `wake`: errors of the bus; wake-on-LAN.
//! * `statistics`, `watchdog`: the work of every two seconds.
//! * `setup`, `dump`, `selftest`: settings, contents and tests for `ethtool`.
//! * `nic`: the network device.

#![forbid(unsafe_code)]

mod chip;
mod desc;
mod dump;
mod eeprom;
mod features;
mod filter;
mod hw;
mod itr;
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

/// The PCI driver.
struct E1000;

kit::pci_device_table!(
    PCI_TABLE,
    <E1000 as kit::pci::Driver>::IdInfo,
    [
        (chip::id(&chip::I82544EI), chip::I82544EI),
        (chip::id(&chip::I82544GC), chip::I82544GC),
        (chip::id(&chip::I82544GC_LOM), chip::I82544GC_LOM),
        (chip::id(&chip::I82540EM), chip::I82540EM),
        (chip::id(&chip::I82540EM_LOM), chip::I82540EM_LOM),
        (chip::id(&chip::I82540EP), chip::I82540EP),
        (chip::id(&chip::I82540EP_LOM), chip::I82540EP_LOM),
        (chip::id(&chip::I82540EP_LP), chip::I82540EP_LP),
        (chip::id(&chip::I82545EM), chip::I82545EM),
        (chip::id(&chip::I82545GM), chip::I82545GM),
        (chip::id(&chip::I82546EB), chip::I82546EB),
        (chip::id(&chip::I82546EB_QUAD), chip::I82546EB_QUAD),
        (chip::id(&chip::I82546GB), chip::I82546GB),
        (chip::id(&chip::I82546GB_QUAD), chip::I82546GB_QUAD),
        (chip::id(&chip::I82546GB_QUAD_2), chip::I82546GB_QUAD_2),
    ]
);

impl kit::pci::Driver for E1000 {
    type IdInfo = Chip;
    type Nic<'bound> = Nic<'bound>;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    // 64 bits on some buses (4.1), but 32 on all.
    const DMA_BITS: u32 = 32;

    const USES_PORTS: bool = true;

    const ERROR_HANDLERS: kit::pci::ErrorHandlers<Self> = kit::pci::ErrorHandlers::new();

    // Interrupts by message (MSI) may corrupt other data that the card writes (erratum 25 of
    // Intel's specification update for the 82545EM).
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
            // Absent if the user binds the driver to a card that is not in the table.
            chip: info.unwrap_or(&chip::I82540EM),
        };
        let ports = kit::pci::Ports::new(bound.as_ref(), c"r4l_e1000").ok();
        hw.reset_by(ports.as_ref());
        // The network device requests them again.
        drop(ports);
        if hw.is_fibre() {
            dev_err!(pdev, "links of fibre are not supported\n");
            return Err(ENODEV);
        }
        // A card without an address can be used after `ip link set eth0 address ...`. Until then
        // the core refuses to open it.
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
    description: "Intel 82540, 82544, 82545, 82546 Gigabit Ethernet, in Rust",
    license: "GPL v2",
    params: {
        copybreak: u32 {
            default: 256,
            description: "Largest received frame that is copied, in bytes",
        },
        debug: i32 {
            default: -1,
            description: "Number of kinds of messages, 0 to 16; -1 for the usual three",
        },
    },
}
