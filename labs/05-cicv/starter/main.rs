// SPDX-License-Identifier: GPL-2.0-only

//! /dev/cicv, a piece of memory to write to and to read from:
//!
//! ```text
//! # echo hello >/dev/cicv; head -c6 /dev/cicv
//! hello
//! ```
//!
//! The handout describes its behaviour.

#![forbid(unsafe_code)]
// Some items are not used yet. Remove this line when you are done.
#![allow(dead_code, unused_imports)]

mod buffer;
mod commands;

use buffer::Buffer;
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
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};
use kit::{
    chrdev::{
        self,
        Access,
        Events,
        Extent,
        FromUser,
        Opened,
        Poll,
        ToUser, //
    },
    param,
    wait, //
};

/// Limit of the capacity, in bytes: the device allocates its memory when it is loaded.
const MOST: u32 = 16 << 20;

#[pin_data]
struct Cicv {
    capacity: usize,
    #[pin]
    buffer: Mutex<Buffer>,
    /// Woken up when bytes are added, or room becomes free.
    #[pin]
    changed: PollCondVar,
}

/// State of an open file.
struct File {
    follow: Atomic<bool>,
}

impl Cicv {
    /// Changes the buffer, and wakes up the tasks that wait for a change.
    fn change<R>(&self, how: impl FnOnce(&mut Buffer) -> R) -> R {
        let result = how(&mut self.buffer.lock());
        self.changed.notify_all();
        result
    }

    /// Returns the number of bytes that fit from an offset on.
    fn room(&self, offset: u64) -> usize {
        usize::try_from(offset).map_or(0, |at| self.capacity.saturating_sub(at))
    }
}

#[vtable]
impl chrdev::Driver for Cicv {
    const NAME: &'static CStr = c"cicv";

    type File = File;

    fn new() -> impl PinInit<Self, Error> {
        let capacity = param::value(&module_parameters::capacity);
        let buffer = if (1..=MOST).contains(&capacity) {
            Buffer::new(capacity as usize)
        } else {
            Err(EINVAL)
        };
        try_pin_init!(Self {
            capacity: capacity as usize,
            buffer <- new_mutex!(buffer?),
            changed <- new_poll_condvar!(),
        }? Error)
    }

    fn open(&self, access: Access) -> impl PinInit<File, Error> {
        if access.truncate() && access.write() {
            self.change(Buffer::clear);
        }
        Ok(File {
            follow: Atomic::new(false),
        })
    }

    fn read(
        &self,
        file: &Opened<'_, Self>,
        offset: &mut u64,
        to: &mut ToUser<'_>,
    ) -> Result<usize> {
        let at = *offset;
        let most = to.len().min(self.room(at));
        if most == 0 {
            return Ok(0);
        }
        let mut bytes: KVVec<u8> = KVVec::with_capacity(most, GFP_KERNEL)?;
        let mut buffer = self.buffer.lock();
        if file.state().follow.load(Relaxed) && buffer.from(at, most).is_empty() {
            if file.nonblocking() {
                return Err(EAGAIN);
            }
            wait::interruptible(&self.changed, &mut buffer, |buffer| {
                !buffer.from(at, most).is_empty()
            })?;
        }
        // YOURS (hello): put the bytes at `at` into `bytes`, `most` at most.
        drop(buffer);
        // YOURS (partial): return the number of copied bytes, not the requested number.
        let _ = (&mut bytes, to);
        Ok(most)
    }

    fn write(
        &self,
        file: &Opened<'_, Self>,
        offset: &mut u64,
        from: &mut FromUser<'_>,
    ) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        // YOURS (hello): take as many bytes from the process as fit, with `from.take`. Put them
        // into the buffer, with `self.change`, and return the number that it took.
        // YOURS (capacity): if the buffer took none, return the error ENOSPC.
        // YOURS (append): if `file.append()`, put them at the end, and set `*offset` to that end.
        let _ = (file, offset);
        Err(ENOSPC)
    }

    fn extent(&self, _file: &Opened<'_, Self>) -> Extent {
        Extent {
            end: self.buffer.lock().len() as u64,
            limit: self.capacity as u64,
        }
    }

    fn poll<'a>(&'a self, file: &Opened<'a, Self>, poll: &Poll<'a>) -> Events {
        poll.wait_on(&self.changed);
        let at = file.offset();
        let end = self.buffer.lock().len() as u64;
        let next = if file.access().append() { end } else { at };
        Events::READ.when(at < end) | Events::WRITE.when(self.room(next) > 0)
    }

    fn ioctl(&self, file: &Opened<'_, Self>, command: u32, argument: usize) -> Result<isize> {
        let user = |len| UserSlice::new(UserPtr::from_addr(argument), len);
        match command {
            commands::CLEAR if !file.access().write() => return Err(EBADF),
            commands::CLEAR => self.change(Buffer::clear),
            commands::SIZE => {
                let size = self.buffer.lock().len() as u64;
                user(size_of::<u64>()).writer().write(&size)?;
            }
            commands::CAPACITY => {
                let capacity = self.capacity as u64;
                user(size_of::<u64>()).writer().write(&capacity)?;
            }
            commands::FOLLOW => {
                let follow: u32 = user(size_of::<u32>()).reader().read()?;
                file.state().follow.store(follow != 0, Relaxed);
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

kit::module_chrdev! {
    type: Cicv,
    name: "cicv",
    authors: ["The r4l authors"],
    description: "A character device that keeps the bytes written to it, in Rust",
    license: "GPL",
    params: {
        capacity: u32 {
            default: 4096,
            description: "Capacity in bytes, from 1 to 16 MiB",
        },
    },
}
