// SPDX-License-Identifier: GPL-2.0-only

//! Greets the guests of the camp. This file is complete: the lab is about the three files beside
//! it.

#![forbid(unsafe_code)]

use kernel::prelude::*;

module! {
    type: CampGreeter,
    name: "camp_greeter",
    authors: ["The r4l authors"],
    description: "Greeter of the camp",
    license: "GPL",
    params: {
        guests: u32 {
            default: 1,
            description: "Number of guests to greet",
        },
    },
}

struct CampGreeter {
    guests: u32,
}

impl kernel::Module for CampGreeter {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let guests = module_parameters::guests.value();
        // Kbuild compiles the objects of a .ko with `--cfg MODULE`.
        let place = if cfg!(MODULE) { "a module" } else { "vmlinux" };
        pr_info!("Welcome, {guests} guests, from {place}\n");
        Ok(CampGreeter { guests })
    }
}

impl Drop for CampGreeter {
    fn drop(&mut self) {
        pr_info!("Goodbye, {} guests\n", self.guests);
    }
}
