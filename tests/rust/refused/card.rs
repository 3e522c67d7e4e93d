// SPDX-License-Identifier: GPL-2.0-only

//! A PCI network driver for no card.

use super::*;
use kernel::{
    device::Core,
    pci, //
};
use kit::net::{
    self,
    Config,
    Interrupt,
    MacAddress,
    Offloads,
    Rings,
    RxMode, //
};

pub(crate) struct Card;
pub(crate) struct Nic;

kit::pci_device_table!(
    TABLE,
    (),
    [(pci::DeviceId::from_id(pci::Vendor::INTEL, 0xffff), ())]
);

impl kit::pci::Driver for Card {
    type IdInfo = ();
    type Nic<'bound> = Nic;

    const ID_TABLE: pci::IdTable<()> = &TABLE;
    const DMA_BITS: u32 = 32;

    fn probe<'bound>(
        _pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound ()>,
    ) -> impl PinInit<Nic, Error> + 'bound {
        Ok(Nic)
    }
}

#[vtable]
impl net::Driver for Nic {
    type Tx = ();
    type Napi = ();
    type Filter = ();

    fn config(&self) -> Config {
        Config {
            mac: MacAddress::random(),
            max_mtu: net::ETH_MTU,
            offloads: Offloads::default(),
        }
    }

    fn open(&self, _dev: &Device) -> Result<Rings<Self>> {
        Err(ENODEV)
    }

    fn start(&self, _dev: &Device) {}

    fn stop(&self, _dev: &Device, _rings: Rings<Self>) {}

    fn start_xmit<'a>(&self, _tx: &mut (), _queue: &TxQueue<'a>, skb: TxSkb<'a>) -> Verdict<'a> {
        skb.busy()
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::NotMine
    }

    fn poll(&self, _napi: &mut (), _poll: &mut Poll<'_>) {}

    fn unmask(&self) {}

    fn set_rx_mode(&self, _filter: &mut (), _mode: &RxMode<'_>) {}

    fn set_mac(&self, _mac: MacAddress) {}
}
