// SPDX-License-Identifier: GPL-2.0-only

//! A character device, `/dev/completion`: a reader sleeps until a writer comes.
//!
//! ```text
//! # cat /dev/completion &               it sleeps
//! # echo come > /dev/completion         it prints "come", and ends
//! ```
//!
//! See the handout for what is missing.
//!
//! The completion is the device's, not the opening's: a reader and a writer each have their own
//! opening, and must meet.

#![forbid(unsafe_code)]

// What is not used yet. Take this line out when you are done.
#![allow(dead_code, unused_imports)]

mod round;

use kernel::{
    new_mutex, new_poll_condvar,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        poll::PollCondVar,
        Arc, Mutex,
    },
    time::{msecs_to_jiffies, Jiffies},
};
use kit::{
    chrdev::{Access, Driver, Events, FromUser, Opened, Poll, ToUser},
    completion::Waited,
    param,
};
use round::Round;

/// How many bytes a write may have.
const LONGEST: usize = 4096;

/// What releases all readers, and what they read then.
const ALL: &[u8] = b"all\n";

/// What is shared by all who have the device open.
#[pin_data]
struct Meeting {
    /// How long a reader waits at most.
    timeout: Option<Jiffies>,
    /// The present round. Whoever waits holds the round in which it came.
    #[pin]
    round: Mutex<Arc<Round>>,
    /// Those who wait in poll(2): a completion cannot be polled.
    #[pin]
    pollers: PollCondVar,
}

impl Meeting {
    fn round(&self) -> Arc<Round> {
        self.round.lock().clone()
    }

    /// Waits until a message, or the end of the round, releases the caller.
    fn wait(&self, _round: &Round) -> Result {
        // YOURS (sleeps, signal): wait for `_round.released` so that a signal can end it.
        // YOURS (timeout): where `self.timeout` is Some(jiffies), wait no longer than that.
        Err(EAGAIN)
    }
}

#[vtable]
impl Driver for Meeting {
    const NAME: &'static CStr = c"completion";

    /// Whether the next read is told of the end of the file.
    type File = Atomic<bool>;

    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            timeout: match param::value(&module_parameters::timeout_ms) {
                0 => None,
                milliseconds => Some(msecs_to_jiffies(milliseconds)),
            },
            round <- new_mutex!(Round::new()?),
            pollers <- new_poll_condvar!(),
        }? Error)
    }

    fn open(&self, _access: Access) -> impl PinInit<Self::File, Error> {
        Ok(Atomic::new(false))
    }

    fn read(
        &self,
        file: &Opened<'_, Self>,
        _offset: &mut u64,
        to: &mut ToUser<'_>,
    ) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        // The end of the file, once, after a message: so cat(1) ends.
        if file.state().xchg(false, Relaxed) {
            return Ok(0);
        }
        let round = self.round();
        self.wait(&round)?;
        let message = round.take();
        let read = to.copy(message.as_deref().unwrap_or(ALL))?;
        file.state().store(read != 0, Relaxed);
        Ok(read)
    }

    fn write(
        &self,
        _file: &Opened<'_, Self>,
        _offset: &mut u64,
        from: &mut FromUser<'_>,
    ) -> Result<usize> {
        let len = from.len();
        if len > LONGEST {
            return Err(EMSGSIZE);
        }
        let message = from.take(LONGEST)?;
        if message.len() != len {
            return Err(EFAULT);
        }
        // YOURS (all): where the message is `ALL`, put a new round in the place of this one, and release
        // all who wait in this one.
        // YOURS (released): else give the message to the round, and wake `self.pollers`.
        Ok(len)
    }

    fn poll<'a>(&'a self, file: &Opened<'a, Self>, poll: &Poll<'a>) -> Events {
        poll.wait_on(&self.pollers);
        // For the end of the file nobody waits either.
        let readable = file.state().load(Relaxed) || self.round().released.is_done();
        Events::WRITE | Events::READ.when(readable)
    }
}

kit::module_misc! {
    type: Meeting,
    name: "r4l_completion",
    authors: ["The r4l authors"],
    description: "Readers that wait for a writer, in Rust",
    license: "GPL",
    params: {
        timeout_ms: u32 {
            default: 0,
            description: "How long a reader waits at most, in milliseconds; 0 for ever",
        },
    },
}
