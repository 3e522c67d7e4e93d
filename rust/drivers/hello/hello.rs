// SPDX-License-Identifier: GPL-2.0-only

//! A minimal Rust module: it logs a line when it is loaded and when it is unloaded.

#![forbid(unsafe_code)]

use kernel::prelude::*;

module! {
    type: Hello,
    name: "hello",
    authors: ["The r4l authors"],
    description: "Hello world in Rust",
    license: "GPL",
}

struct Hello;

impl kernel::Module for Hello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("Hello, world, from Rust!\n");
        Ok(Hello)
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        pr_info!("Goodbye, world.\n");
    }
}
