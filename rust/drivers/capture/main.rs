// SPDX-License-Identifier: GPL-2.0-only

//! Captures packets inside the kernel: counts those of an interface by protocol, and keeps the
//! beginnings of the last ones.
//!
//! The files `counters` and `headers` are in `/sys/kernel/debug/r4l_capture`. The parameter
//! `ifindex` is the number of the interface; without it, all interfaces count. (The kernel's Rust
//! has numbers as parameters of modules, and no strings.)
//!
//! * `protocol`: the protocol of a frame.
//! * `counters`, `headers`: the two files.

#![forbid(unsafe_code)]

mod counters;
mod headers;
mod protocol;

use counters::Counters;
use headers::{
    Header,
    Headers, //
};
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

/// The hook with its files.
#[pin_data]
struct Capture {
    interface: u32,
    #[pin]
    counters: File<Counters>,
    #[pin]
    headers: File<Headers>,
}

impl Hook for Capture {
    fn new() -> impl PinInit<Self, Error> {
        let dir = Dir::new(c"r4l_capture");
        try_pin_init!(Self {
            interface: param::value(&module_parameters::ifindex),
            counters <- dir.read_only_file(c"counters", Counters::new()),
            headers <- dir.read_only_file(c"headers", Headers::new()),
        }? Error)
    }

    fn frame(&self, frame: &Frame<'_>) {
        if self.interface != 0 && self.interface != frame.interface() {
            return;
        }
        let header = Header::of(frame);
        self.counters.count(&header);
        self.headers.keep(header);
    }
}

kit::module_capture! {
    type: Capture,
    name: "r4l_capture",
    authors: ["The r4l authors"],
    description: "Counts and keeps packets, in Rust",
    license: "GPL",
    params: {
        ifindex: u32 {
            default: 0,
            description: "Number of the interface; 0 for all",
        },
    },
}
