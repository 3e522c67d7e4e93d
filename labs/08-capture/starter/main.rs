// SPDX-License-Identifier: GPL-2.0-only

//! Counts the packets that pass, by direction and protocol: `/sys/kernel/debug/capture/counters`.
//!
//! * `protocol`: the protocol of a frame.
//! * `counters`: the file.

#![forbid(unsafe_code)]

mod counters;
mod protocol;

use counters::Counters;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    prelude::*, //
};
use kit::{
    capture::{
        Frame,
        Hook, //
    },
    param, //
};

/// The hook with its file.
#[pin_data]
#[allow(dead_code, reason = "until `frame` reads all of it")]
struct Capture {
    interface: u32,
    port: u32,
    #[pin]
    counters: File<Counters>,
}

impl Hook for Capture {
    fn new() -> impl PinInit<Self, Error> {
        let dir = Dir::new(c"capture");
        try_pin_init!(Self {
            interface: param::value(&module_parameters::ifindex),
            port: param::value(&module_parameters::port),
            counters <- dir.read_only_file(c"counters", Counters::new()),
        }? Error)
    }

    fn frame(&self, frame: &Frame<'_>) {
        // YOURS (interface): count only frames of the interface `self.interface`; if that is 0, all
        // frames.
        // YOURS (protocols): pass on the first bytes of the frame instead of none.
        let head: &[u8] = &[];
        // YOURS (port): count only frames from or to the port `self.port`; if that is 0, all
        // frames.
        self.counters
            .count(frame.direction(), protocol::of(head), frame.len());
    }
}

kit::module_capture! {
    type: Capture,
    name: "capture",
    authors: ["You"],
    description: "Counts packets, in Rust",
    license: "GPL",
    params: {
        ifindex: u32 {
            default: 0,
            description: "Number of the interface; 0 for all",
        },
        port: u32 {
            default: 0,
            description: "Only packets of TCP and UDP from or to this port; 0 for all packets",
        },
    },
}
