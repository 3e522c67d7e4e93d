// SPDX-License-Identifier: GPL-2.0-only

//! A driver around the snippets of refused.toml: the types that they need, and the names.

#![forbid(unsafe_code)]
#![deny(unused_must_use)]
#![allow(unused_imports, dead_code, missing_docs)]

use core::pin::Pin;
use kernel::prelude::*;
use kit::{
    completion::Completion,
    dma::{
        RxBuffer,
        RxPool,
        TxFrame, //
    },
    lock::SpinLockIrq,
    net::{
        Completions,
        Device,
        Disabled,
        Doorbell,
        Enabled,
        InFlight,
        Napi,
        Poll,
        RxSlot,
        Sent,
        TxQueue, //
    },
    skb::{
        RxSkb,
        Skb,
        TxSkb,
        Verdict, //
    },
};

/// A virtual device.
struct Loop;

impl kit::virt::Driver for Loop {
    const NAME: &'static CStr = c"loop%d";

    fn new() -> impl PinInit<Self, Error> {
        Ok(Self)
    }

    fn config(&self) -> kit::net::Config {
        kit::net::Config {
            mac: kit::net::MacAddress::random(),
            max_mtu: kit::net::ETH_MTU,
            offloads: kit::net::Offloads::default(),
        }
    }

    fn transmit(&self, wire: &kit::virt::Wire<'_>, frame: Skb) {
        wire.sent(frame);
    }
}

/// A hook.
struct Hook;

impl kit::capture::Hook for Hook {
    fn new() -> impl PinInit<Self, Error> {
        Ok(Self)
    }

    fn frame(&self, _frame: &kit::capture::Frame<'_>) {}
}

/// A character device.
struct File;

#[vtable]
impl kit::chrdev::Driver for File {
    const NAME: &'static CStr = c"file";
    type File = ();

    fn new() -> impl PinInit<Self, Error> {
        Ok(Self)
    }

    fn open(&self, _access: kit::chrdev::Access) -> impl PinInit<(), Error> {
        Ok(())
    }
}

mod card;
use card::{
    Card,
    Nic, //
};

kit::module_pci_net_driver! {
    type: Card,
    name: "refused",
    license: "GPL",
}

// Each snippet is a module of its own.
