// SPDX-License-Identifier: GPL-2.0-only

//! A character device, `/dev/completion`: a reader sleeps until a writer comes.
//!
//! ```text
//! # cat /dev/completion &               cat sleeps
//! # echo come > /dev/completion         cat prints "come", and ends
//! ```
//!
//! * Each write releases one reader, the one that has waited longest, which reads the bytes of
//!   this write: 4096 at most, without those that do not fit into the reader's buffer. A write does
//!   not wait. Without a reader the message is kept for the next one. 64 messages are kept; then a
//!   write fails with `ENOSPC`.
//! * After the bytes a reader gets the end of the file, once; another read waits again.
//! * `echo all > /dev/completion` releases every waiting reader with the bytes "all", and ends the
//!   round: unread messages are discarded.
//! * A signal ends the wait. So do `timeout_ms` milliseconds, the module's parameter, with
//!   `ETIMEDOUT`; 0, the default, means for ever. With `O_NONBLOCK` a read fails with `EAGAIN`
//!   instead of waiting.
//! * poll(2) reports when a read need not wait. "all" releases tasks that sleep in a read, not in
//!   poll.
//!
//! The completion belongs to the device, not to the open file: a reader and a writer have a file
//! each, and must meet.

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

    /// Waits with the caller's flags and the device's time-out.
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
            // Not ERESTARTSYS: signals must not make the wait longer; see signal(7) for other calls
            // with a time-out.
            Waited::Interrupted => Err(EINTR),
            waited => waited.into_result(),
        }
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
            // Under the lock: a round that has ended gets no more messages.
            self.round.lock().give(message)?;
            self.pollers.notify_all();
        }
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
