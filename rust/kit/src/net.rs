// SPDX-License-Identifier: GPL-2.0-only

//! Network devices.
//!
//! A driver implements [`Driver`] for the type with the device's state from probe to remove. State
//! that exists from open to stop only, such as the rings, is in other values, which
//! [`Driver::open`] returns and [`Driver::stop`] gets back. In between, each of them is passed as
//! `&mut` to the one callback whose context excludes all other accesses. So a driver needs no lock
//! for them, and cannot access them while the device is closed:
//!
//! | state | passed to | protected by |
//! |---|---|---|
//! | [`Driver::Tx`] | [`Driver::start_xmit`] | the transmit queue's lock |
//! | [`Driver::Napi`] | [`Driver::poll`] | NAPI, which runs one poll at a time |
//! | [`Driver::Filter`] | [`Driver::set_rx_mode`] | `netif_addr_lock` |
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
mod wake;

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
    ethtool::*,
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
    statistics::DeviceCounts,
    wake::WakeOn, //
};
pub(crate) use power::Absence;
pub(crate) use registration::{
    Attachment,
    Registration, //
};
