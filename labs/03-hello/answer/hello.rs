// SPDX-License-Identifier: GPL-2.0-only

//! A module that greets when it is loaded and when it is unloaded, with a number from the command
//! line.

#![forbid(unsafe_code)]

use kernel::prelude::*;

module! {
    type: Hello,
    name: "hello",
    authors: ["The r4l authors"],
    description: "Hello world in Rust",
    license: "GPL",
    params: {
        answer: u32 {
            default: 42,
            description: "The number that the greeting ends with",
        },
    },
}

struct Hello {
    answer: u32,
}

impl kernel::Module for Hello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let answer = module_parameters::answer.value();
        if answer == 0 {
            return Err(EINVAL);
        }
        pr_info!("Hello, {answer}\n");
        Ok(Hello { answer })
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        pr_info!("Goodbye, {}\n", self.answer);
    }
}
