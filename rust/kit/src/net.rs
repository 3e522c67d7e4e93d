// SPDX-License-Identifier: GPL-2.0-only

//! Network devices.
//!
//! A driver implements [`Driver`] for the type that holds what a card has from probe to remove.
//! What it has only from open to stop, the rings first of all, are other values, which
//! [`Driver::open`] makes and [`Driver::stop`] gets back. In between each callback is lent
//! exactly the one that its own context guards, so a driver needs no lock for them and cannot
//! touch them when the device is stopped:
//!
//! | state | lent to | guarded by |
//! |---|---|---|
//! | [`Driver::Tx`] | [`Driver::start_xmit`] | the transmit queue's lock |
//! | [`Driver::Napi`] | [`Driver::poll`] | NAPI: one poll at a time |
//! | [`Driver::Filter`] | [`Driver::set_rx_mode`] | the address list's lock |
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

mod device;
mod driver;
mod ethernet;
mod ethtool;
mod features;
mod mii;
mod napi;
mod operations;
mod power;
mod private;
mod queue;
mod registration;
mod rx_mode;
mod statistics;

pub use self::{
    device::Device,
    driver::{
        Config,
        Driver,
        Health,
        Interrupt,
        LinkSettings,
        Offloads,
        Rings, //
    },
    ethernet::{
        MacAddress,
        ETH_FCS_LEN,
        ETH_HEADER_LEN,
        ETH_MIN_LEN,
        ETH_MTU, //
    },
    ethtool::{
        Lamp,
        LinkModes,
        LinkRequest,
        Pause, //
    },
    features::{
        FeatureSet,
        Features, //
    },
    napi::{
        Disabled,
        Enabled,
        Napi,
        Poll,
        RxError,
        RxSlot, //
    },
    queue::{
        Completions,
        Doorbell,
        InFlight,
        Sent,
        TxQueue, //
    },
    rx_mode::{
        AddressList,
        RxMode,
        Vlans, //
    },
    statistics::DeviceCounts, //
};
pub(crate) use registration::{
    Attachment,
    Registration, //
};
