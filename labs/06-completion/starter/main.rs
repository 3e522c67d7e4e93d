// SPDX-License-Identifier: GPL-2.0-only

//! A character device, `/dev/completion`: a reader sleeps until a writer comes.
//!
//! ```text
//! # cat /dev/completion &               it sleeps
//! # echo come > /dev/completion         it prints "come", and ends
//! ```
//!
//! See the handout for what each of them has to do.
//!
//! The completion is the device's, not the opening's: a reader and a writer each have their own
//! opening, and must meet.

#![forbid(unsafe_code)]

// What is not used yet. Take this line out when you are done.
#![allow(dead_code, unused_imports)]

mod round;

use kernel::{
    fs::File,
    iov::{IovIterDest, IovIterSource},
    new_mutex, new_poll_condvar,
    prelude::*,
    sync::{
        poll::{PollCondVar, PollTable},
        Arc, Mutex,
    },
    time::{msecs_to_jiffies, Jiffies},
};
use kit::{
    completion::Waited,
    misc::{Call, Device, Ready},
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

impl Device for Meeting {
    const NAME: &'static CStr = c"completion";

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

    fn read(&self, call: &mut Call<'_>, to: &mut IovIterDest<'_>) -> Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        // The end of the file, once, after a message: so cat(1) ends.
        if call.position() != 0 {
            call.set_position(0);
            return Ok(0);
        }
        let round = self.round();
        self.wait(&round)?;
        let message = round.take();
        let bytes = message.as_deref().unwrap_or(ALL);
        let read = to.copy_to_iter(&bytes[..bytes.len().min(to.len())]);
        if read == 0 && !bytes.is_empty() {
            return Err(EFAULT);
        }
        // CAST: No more than `LONGEST`.
        call.set_position(read as i64);
        Ok(read)
    }

    fn write(&self, _call: &mut Call<'_>, from: &mut IovIterSource<'_>) -> Result<usize> {
        let len = from.len();
        if len > LONGEST {
            return Err(EMSGSIZE);
        }
        let mut message = KVec::new();
        if from.copy_from_iter_vec(&mut message, GFP_KERNEL)? != len {
            return Err(EFAULT);
        }
        // YOURS (all): where the message is `ALL`, put a new round in the place of this one, and release
        // all who wait in this one.
        // YOURS (released): else give the message to the round, and wake `self.pollers`.
        Ok(len)
    }

    fn poll(&self, file: &File, table: &PollTable<'_>) -> Ready {
        table.register_wait(file, &self.pollers);
        Ready {
            read: self.round().released.is_done(),
            write: true,
        }
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
