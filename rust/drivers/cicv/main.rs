// SPDX-License-Identifier: GPL-2.0-only

//! /dev/cicv, a piece of memory to write to and to read from:
//!
//! ```text
//! # echo hello >/dev/cicv; head -c6 /dev/cicv
//! hello
//! ```
//!
//! It behaves as a file on a device with room for so many bytes, 4096 without the parameter
//! `capacity`, so what is written for files works:
//!
//! * A read at the end returns 0. It can be asked to wait instead, `tail -f` in one call: see
//!   [`commands::FOLLOW`]. It waits until a signal comes, and with `O_NONBLOCK` it fails with
//!   `EAGAIN`.
//! * A write takes what there is room for, and fails with `ENOSPC` where there is none.
//! * lseek(2) goes as far as the capacity, and fails with `EINVAL` for what lies beyond: no byte
//!   will ever be there. Between the end and the capacity it may go, and what is skipped by a
//!   write there reads as zeros, never as what was there before.
//! * `O_TRUNC` empties it, which a shell's `>` means, and `O_APPEND` writes at the end, wherever
//!   that is when the bytes arrive. Two processes that share one open file share its offset too,
//!   with no lock for it as for any character device: `>>` is for these.
//! * poll(2) says that it can be read when there is something behind the file's offset, and that
//!   it can be written when there is room there. For a file it would say both at any time, and
//!   nobody could wait.
//!
//! Each read and each write is one step: none sees half of another. Bytes go to and from the
//! process while the lock is not held, so a process whose memory takes long to come, or never
//! does, stops nobody else; and since nobody ever sleeps with it, `O_NONBLOCK` may wait for it.
//!
//! * `buffer`: the memory.
//! * `commands`: for ioctl(2).

#![forbid(unsafe_code)]

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

/// The device takes its memory when it is loaded, so there is an end to what may be asked for.
const MOST: u32 = 16 << 20;

#[pin_data]
struct Cicv {
    capacity: usize,
    #[pin]
    buffer: Mutex<Buffer>,
    /// Woken up when there is more to read, or more room.
    #[pin]
    changed: PollCondVar,
}

/// What each open file has.
struct File {
    follow: Atomic<bool>,
}

impl Cicv {
    /// Changes the buffer, and lets those know who wait for a change.
    fn change<R>(&self, how: impl FnOnce(&mut Buffer) -> R) -> R {
        let result = how(&mut self.buffer.lock());
        self.changed.notify_all();
        result
    }

    /// How much room there is from an offset on.
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
        let mut bytes = KVVec::with_capacity(most, GFP_KERNEL)?;
        let mut buffer = self.buffer.lock();
        if file.state().follow.load(Relaxed) && buffer.from(at, most).is_empty() {
            if file.nonblocking() {
                return Err(EAGAIN);
            }
            wait::interruptible(&self.changed, &mut buffer, |buffer| {
                !buffer.from(at, most).is_empty()
            })?;
        }
        bytes.extend_from_slice(buffer.from(at, most), GFP_KERNEL)?;
        drop(buffer);
        to.copy(&bytes)
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
        let append = file.append();
        let bytes = from.take(self.room(if append { 0 } else { *offset }))?;
        let done = self.change(|buffer| {
            if append {
                *offset = buffer.len() as u64;
            }
            buffer.put(*offset, &bytes)
        });
        if done == 0 {
            return Err(ENOSPC);
        }
        Ok(done)
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
    description: "A character device that keeps what is written to it, in Rust",
    license: "GPL",
    params: {
        capacity: u32 {
            default: 4096,
            description: "How many bytes it has room for, from 1 to 16 MiB",
        },
    },
}
