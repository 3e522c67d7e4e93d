// SPDX-License-Identifier: GPL-2.0-only

//! A character device, `/dev/completion`: a reader sleeps until a writer comes.
//!
//! ```text
//! # cat /dev/completion &               it sleeps
//! # echo come > /dev/completion         it prints "come", and ends
//! ```
//!
//! * Each write releases one reader, the one that has waited longest, which reads the bytes of
//!   this write: 4096 at most, of which it loses what does not fit into its buffer. A write does
//!   not wait. With no reader it is kept for the next one, 64 of them; then comes `ENOSPC`.
//! * After the bytes a reader has the end of the file, once; if it reads on, it waits again.
//! * `echo all > /dev/completion` releases all that wait, each with the bytes "all". It ends the
//!   round: what nobody has read until then is gone.
//! * A signal ends the wait. So do `timeout_ms` milliseconds, the module's parameter, with
//!   `ETIMEDOUT`; 0, the default, is for ever. With `O_NONBLOCK` there is none, but `EAGAIN`.
//! * poll(2) says when a read need not wait. "all" is for those who sleep in a read, not in poll.
//!
//! The completion is the device's, not the opening's: a reader and a writer each have their own
//! opening, and must meet.

#![forbid(unsafe_code)]

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

    /// Waits as the caller wants to be waited for.
    fn wait(&self, round: &Round, nonblocking: bool) -> Result {
        if nonblocking {
            return if round.released.try_wait() {
                Ok(())
            } else {
                Err(EAGAIN)
            };
        }
        let Some(timeout) = self.timeout else {
            return round.released.wait_interruptible();
        };
        match round.released.wait_interruptible_timeout(timeout) {
            // Not ERESTARTSYS: signals must not make the wait longer; see signal(7) for others
            // that have a time-out.
            Waited::Interrupted => Err(EINTR),
            waited => waited.into_result(),
        }
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
        if file.state().xchg(false, Relaxed) {
            return Ok(0);
        }
        let round = self.round();
        self.wait(&round, file.nonblocking())?;
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
        if message.trim_ascii_end() == ALL.trim_ascii_end() {
            let next = Round::new()?;
            let ended = core::mem::replace(&mut *self.round.lock(), next);
            ended.released.complete_all();
        } else {
            // With the lock: a round that has ended gets no more.
            self.round.lock().give(message)?;
            self.pollers.notify_all();
        }
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
