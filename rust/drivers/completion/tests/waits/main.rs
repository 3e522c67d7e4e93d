// SPDX-License-Identifier: GPL-2.0-only

//! Results of each call of `kit::completion`, in the kernel log, also of calls that the driver does
//! not use.

#![forbid(unsafe_code)]

use kernel::prelude::*;
use kit::completion::{
    Completion,
    Waited, //
};

module! {
    type: Waits,
    name: "waits",
    authors: ["The r4l authors"],
    description: "Calls of a completion, one by one",
    license: "GPL",
}

struct Waits;

impl kernel::Module for Waits {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut done = KBox::pin_init(Completion::new(), GFP_KERNEL)?;
        pr_info!("new: {} {}\n", done.is_done(), done.try_wait());
        pr_info!("not done: {:?}\n", done.wait_timeout(1));
        pr_info!("not done: {:?}\n", done.wait_interruptible_timeout(0));

        for _ in 0..4 {
            done.complete();
        }
        done.wait();
        done.wait_interruptible()?;
        done.wait_killable()?;
        pr_info!("three of four: {}\n", done.is_done());
        let in_time = matches!(done.wait_timeout(1), Waited::Done { left: 1.. });
        pr_info!("the fourth: {in_time}\n");
        pr_info!("a fifth: {} {}\n", done.is_done(), done.try_wait());

        done.complete_all();
        for _ in 0..2 {
            // More than a `long` holds: the scheduler would complain of a negative time-out.
            let for_ever = done.wait_interruptible_timeout(usize::MAX);
            let released = for_ever.into_result() == Ok(());
            pr_info!("all: {} {released}\n", done.try_wait());
        }
        done.as_mut().reinit();
        let timed_out = done.wait_timeout(1).into_result() == Err(ETIMEDOUT);
        pr_info!("again: {} {timed_out}\n", done.try_wait());
        done.complete();
        pr_info!("and once: {} {}\n", done.try_wait(), done.try_wait());
        Ok(Self)
    }
}
