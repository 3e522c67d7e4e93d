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

// --- answer
/// Number of bytes to copy of a frame: all headers up to the ports, each at its longest.
const HEAD: usize = 14 + 60 + 4;

// --- end
/// The hook with its file.
#[pin_data]
// --- starter
//| #[allow(dead_code, reason = "until `frame` reads all of it")]
// --- end
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
        // --- starter
        //| // YOURS (interface): count only frames of the interface `self.interface`; if that is 0, all
        //| // frames.
        //| // YOURS (protocols): pass on the first bytes of the frame instead of none.
        //| let head: &[u8] = &[];
        //| // YOURS (port): count only frames from or to the port `self.port`; if that is 0, all
        //| // frames.
        // --- answer
        if self.interface != 0 && self.interface != frame.interface() {
            return;
        }
        let mut head = [0; HEAD];
        let kept = frame.copy_to(&mut head);
        let head = &head[..kept];
        if self.port != 0 && !protocol::ports(head).is_some_and(|ports| self.is_one_of(ports)) {
            return;
        }
        // --- end
        self.counters
            .count(frame.direction(), protocol::of(head), frame.len());
    }
}

// --- answer
impl Capture {
    fn is_one_of(&self, (source, destination): (u16, u16)) -> bool {
        self.port == u32::from(source) || self.port == u32::from(destination)
    }
}

// --- end
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
