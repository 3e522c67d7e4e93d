// SPDX-License-Identifier: GPL-2.0-only

//! Your first module: it greets when it is loaded and when it is unloaded, with a number from the
//! command line.

#![forbid(unsafe_code)]

use kernel::prelude::*;

module! {
    type: Hello,
    name: "hello",
    authors: ["You"],
    description: "Hello world in Rust",
    license: "GPL",
    params: {
        answer: u32 {
            default: 42,
            description: "The number that the greeting ends with",
        },
    },
}

struct Hello;

impl kernel::Module for Hello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // YOURS (greets, parameter): print one line, `Hello, N`, where N is the parameter `answer`.
        // YOURS (refuses): if `answer` is 0, do not load: return the error EINVAL.
        Ok(Hello)
    }
}

// YOURS (leaves): when the module is unloaded, print `Goodbye, N`.
