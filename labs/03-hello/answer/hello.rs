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

// --- starter
//| struct Hello;
// --- answer
struct Hello {
    answer: u32,
}
// --- end

impl kernel::Module for Hello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // --- starter
        //| // YOURS (greets, parameter): print one line, `Hello, N`, where N is the parameter `answer`.
        //| // YOURS (refuses): if `answer` is 0, do not load: return the error EINVAL.
        //| Ok(Hello)
        // --- answer
        let answer = module_parameters::answer.value();
        if answer == 0 {
            return Err(EINVAL);
        }
        pr_info!("Hello, {answer}\n");
        Ok(Hello { answer })
        // --- end
    }
}

// --- starter
//| // YOURS (leaves): when the module is unloaded, print `Goodbye, N`.
// --- answer
impl Drop for Hello {
    fn drop(&mut self) {
        pr_info!("Goodbye, {}\n", self.answer);
    }
}
// --- end
