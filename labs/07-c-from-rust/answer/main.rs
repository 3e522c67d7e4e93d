// SPDX-License-Identifier: GPL-2.0-only

//! Reads a sensor whose driver is written in C.

// --- starter
//| use kernel::prelude::*;
// --- answer
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*, //
};
// --- end

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

// --- starter
//| // YOURS (bindings): a type that owns an open sensor: `open`, `read`.
//| // YOURS (errors): return an error of C as an `Err` in Rust.
//| // YOURS (closes): a sensor is closed when its owner is dropped.
// --- answer
/// An open sensor.
///
/// # Invariants
///
/// The pointer comes from `sensor_open`, and only the drop of this value closes the sensor.
struct Sensor(*mut bindings::sensor);

impl Sensor {
    fn open(seed: u32) -> Result<Self> {
        // SAFETY: The function takes any number.
        let sensor = from_err_ptr(unsafe { bindings::sensor_open(seed) })?;
        // INVARIANT: It was just opened.
        Ok(Self(sensor))
    }

    fn read(&self, channel: u32) -> Result<bindings::sensor_reading> {
        let mut reading = bindings::sensor_reading {
            channel: 0,
            raw: 0,
            flags: 0,
        };
        // SAFETY: The sensor is open by the type invariant, and the reading is ours.
        to_result(unsafe { bindings::sensor_read(self.0, channel, &mut reading) })?;
        Ok(reading)
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // SAFETY: It is open by the type invariant, and this is the last use.
        unsafe { bindings::sensor_close(self.0) };
    }
}
// --- end

struct CFromRust;

impl kernel::Module for CFromRust {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let seed = module_parameters::seed.value();
        let channel = module_parameters::channel.value();
        pr_info!("to read: sensor {seed}, channel {channel}\n");

        // --- starter
        //| // YOURS (bindings): open the sensor, read the channel, and print
        //| // `channel C of N: raw R`, with N from SENSOR_CHANNELS.
        //|
        //| // YOURS (ready): print `channel C is ready` or `channel C is not ready`.
        //|
        //| // YOURS (helper): print `channel C: T millidegrees`.
        // --- answer
        let reading = Sensor::open(seed)?.read(channel)?;
        let (number, raw) = (reading.channel, reading.raw);
        pr_info!(
            "channel {number} of {}: raw {raw}\n",
            bindings::SENSOR_CHANNELS
        );

        let ready = reading.flags & bindings::C_FROM_RUST_READY != 0;
        let not = if ready { "" } else { "not " };
        pr_info!("channel {number} is {not}ready\n");

        // SAFETY: The reading is ours.
        let millidegrees = unsafe { bindings::c_from_rust_millidegrees(&reading) };
        pr_info!("channel {number}: {millidegrees} millidegrees\n");
        // --- end

        Ok(CFromRust)
    }
}
