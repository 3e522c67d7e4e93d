// SPDX-License-Identifier: GPL-2.0-only

//! Reads a sensor whose driver is written in C.

use kernel::prelude::*;

/// The bindings that bindgen made of `c_bindings.h`, with the attributes and imports they need.
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unused_imports
)]
mod bindings {
    use kernel::ffi;
    use pin_init::MaybeZeroable;

    include!(concat!(env!("R4L_GEN"), "/c_bindings.rs"));
}

module! {
    type: CFromRust,
    name: "c_from_rust",
    authors: ["You"],
    description: "Calling C from Rust",
    license: "GPL",
    params: {
        seed: u32 {
            default: 1,
            description: "Number of the sensor",
        },
        channel: u32 {
            default: 0,
            description: "Number of its channel",
        },
    },
}

// YOURS (bindings): a type that owns an open sensor: `open`, `read`.
// YOURS (errors): return an error of C as an `Err` in Rust.
// YOURS (closes): a sensor is closed when its owner is dropped.

struct CFromRust;

impl kernel::Module for CFromRust {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let seed = module_parameters::seed.value();
        let channel = module_parameters::channel.value();
        pr_info!("to read: sensor {seed}, channel {channel}\n");

        // YOURS (bindings): open the sensor, read the channel, and print
        // `channel C of N: raw R`, with N from SENSOR_CHANNELS.

        // YOURS (ready): print `channel C is ready` or `channel C is not ready`.

        // YOURS (helper): print `channel C: T millidegrees`.

        Ok(CFromRust)
    }
}
