// SPDX-License-Identifier: GPL-2.0-only

//! A character device, `/dev/completion`: a reader sleeps until a writer comes.
//!
//! ```text
//! # cat /dev/completion &               cat sleeps
//! # echo come > /dev/completion         cat prints "come", and ends
//! ```
//!
//! The handout names the missing parts.
//!
//! The completion belongs to the device, not to the open file: a reader and a writer have a file
//! each, and must meet.

#![forbid(unsafe_code)]
// Some items are not used yet. Remove this line when you are done.
#![allow(dead_code, unused_imports)]

mod round;

use kernel::{
    new_mutex,
    new_poll_condvar,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        poll::PollCondVar,
        Arc,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
        Jiffies, //
    }, //
};
use kit::{
    chrdev::{
        Access,
        Driver,
        Events,
        FromUser,
        Opened,
        Poll,
        ToUser, //
    },
    completion::Waited,
    param, //
};
use round::Round;

/// Largest length of a message, in bytes.
const LONGEST: usize = 4096;

/// The message that releases all readers.
const ALL: &[u8] = b"all\n";

/// State of the device, shared by all open files.
#[pin_data]
struct Meeting {
    /// Longest wait of a reader.
    timeout: Option<Jiffies>,
    /// The present round. A waiting reader holds the round in which it came.
    #[pin]
    round: Mutex<Arc<Round>>,
    /// Tasks that wait in poll(2): a completion cannot be polled.
    #[pin]
    pollers: PollCondVar,
}

impl Meeting {
    fn round(&self) -> Arc<Round> {
        self.round.lock().clone()
    }

    /// Waits until a message, or the end of the round, releases the caller.
    fn wait(&self, _round: &Round) -> Result {
        // YOURS (sleeps, signal): wait for `_round.released` so that a signal can end the wait.
        // YOURS (timeout): if `self.timeout` is Some(jiffies), wait no longer than that.
        Err(EAGAIN)
    }
}

#[vtable]
impl Driver for Meeting {
    const NAME: &'static CStr = c"completion";

    /// True if the next read returns the end of the file.
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
        // Return the end of the file, once, after a message: so cat(1) ends.
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
        // YOURS (all): if the message is `ALL`, put a new round in the place of this one, and
        // release all readers of this one.
        // YOURS (released): else give the message to the round, and wake `self.pollers`.
        Ok(len)
    }

    fn poll<'a>(&'a self, file: &Opened<'a, Self>, poll: &Poll<'a>) -> Events {
        poll.wait_on(&self.pollers);
        // A read at the end of the file does not wait either.
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
            description: "Longest wait of a reader in milliseconds; 0 for ever",
        },
    },
}
