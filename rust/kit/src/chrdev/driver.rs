// SPDX-License-Identifier: GPL-2.0-only

//! What a driver implements, and what it is told.

use super::{
    Events,
    FromUser,
    Poll,
    ToUser, //
};
use crate::bindings::layout;
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    build_error,
    error::VTABLE_DEFAULT_ERROR,
    fs::file::flags,
    prelude::*, //
};

/// A driver for one character device.
///
/// An operation that is not implemented is one that the device does not have: read(2) and write(2)
/// fail with `EINVAL` then, lseek(2) with `ESPIPE`, ioctl(2) with `ENOTTY`, and to poll(2) the
/// device is always ready.
#[vtable]
pub trait Driver: Send + Sync + Sized + 'static {
    /// The name: of the device numbers in /proc/devices, of the class in /sys/class, of the node
    /// in /dev.
    const NAME: &'static CStr;

    /// What there is for each open file.
    type File: Send + Sync + 'static;

    /// Makes the driver, when the module is loaded.
    fn new() -> impl PinInit<Self, Error>;

    /// The device is opened: makes what belongs to the file, or refuses.
    fn open(&self, access: Access) -> impl PinInit<Self::File, Error>;

    /// The file was closed by the last who had it. Its state is dropped afterwards.
    fn release(&self, file: &Opened<'_, Self>) {
        let _ = file;
    }

    /// read(2) and its kin. Returns how many bytes were copied: fewer than there is room for is
    /// no error, and none is the end of the file.
    ///
    /// `offset` is where the call reads. What is returned is added to it, and to the offset of the
    /// file, unless the caller has brought an offset of its own, as pread(2) does.
    fn read(
        &self,
        file: &Opened<'_, Self>,
        offset: &mut u64,
        to: &mut ToUser<'_>,
    ) -> Result<usize> {
        let _ = (file, offset, to);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// write(2) and its kin. Returns how many bytes were taken, which may be fewer than there are;
    /// where none can be, that is an error.
    ///
    /// `offset` is where the call writes. A driver that writes elsewhere says so, as it has to if
    /// [`Opened::append`] is set. What is returned is added as in [`Self::read`].
    fn write(
        &self,
        file: &Opened<'_, Self>,
        offset: &mut u64,
        from: &mut FromUser<'_>,
    ) -> Result<usize> {
        let _ = (file, offset, from);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// How far the device reaches: what lseek(2) has to know. A device without this is a stream:
    /// it cannot be positioned, and pread(2), pwrite(2) and sendfile(2) fail too.
    fn extent(&self, file: &Opened<'_, Self>) -> Extent {
        let _ = file;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// poll(2), select(2), epoll(7): names the queues that are woken up when the answer changes,
    /// and then answers. A queue is a
    /// field of the driver, or of what it has for the file.
    fn poll<'a>(&'a self, file: &Opened<'a, Self>, poll: &Poll<'a>) -> Events {
        let _ = (file, poll);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// ioctl(2): `command` as [`kernel::ioctl`] makes it, and an argument, which may be the address
    /// for a [`UserSlice`](kernel::uaccess::UserSlice). `ENOTTY` for a command that is unknown.
    ///
    /// Called for programs of 32 bits too. So what an argument points to has to look the same for
    /// these: integers of fixed size, each aligned to its size, and no pointers.
    fn ioctl(&self, file: &Opened<'_, Self>, command: u32, argument: usize) -> Result<isize> {
        let _ = (file, command, argument);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// How far a device reaches, in bytes.
#[derive(Clone, Copy)]
pub struct Extent {
    /// Where `SEEK_END` counts from: the end of what can be read.
    pub end: u64,
    /// The last offset that a file may be set to; `EINVAL` for any beyond.
    pub limit: u64,
}

/// What a file was opened for, and how.
#[derive(Clone, Copy)]
pub struct Access {
    mode: u32,
    flags: u32,
}

impl Access {
    /// # Safety
    ///
    /// `file` is open, or being opened.
    pub(super) unsafe fn of(file: NonNull<bindings::file>) -> Self {
        let file = file.as_ptr();
        // SAFETY: `file` is valid. Its mode is settled before it is opened, as far as `read` and
        // `write` ask; fcntl(2) may change the flags at any time, hence volatile (`READ_ONCE`).
        let (mode, flags) =
            unsafe { ((*file).f_mode, (&raw const (*file).f_flags).read_volatile()) };
        Self { mode, flags }
    }

    /// It may be read.
    pub fn read(self) -> bool {
        self.mode as usize & layout::FMODE_READ != 0
    }

    /// It may be written.
    pub fn write(self) -> bool {
        self.mode as usize & layout::FMODE_WRITE != 0
    }

    /// `O_NONBLOCK`: what would have to wait fails with `EAGAIN`.
    pub fn nonblocking(self) -> bool {
        self.flags & flags::O_NONBLOCK != 0
    }

    /// `O_APPEND`: what is written goes to the end.
    pub fn append(self) -> bool {
        self.flags & flags::O_APPEND != 0
    }

    /// `O_TRUNC`: what is there is to go. Only while the file is opened.
    pub fn truncate(self) -> bool {
        self.flags & flags::O_TRUNC != 0
    }
}

/// An open file, for as long as one call takes.
///
/// # Invariants
///
/// `file` is open for `'a`, and is none of another driver.
pub struct Opened<'a, D: Driver> {
    file: NonNull<bindings::file>,
    state: Pin<&'a D::File>,
    /// The flags of this one read or write; 0 in other calls.
    call: u32,
    _lent: PhantomData<&'a D>,
}

impl<'a, D: Driver> Opened<'a, D> {
    /// # Safety
    ///
    /// `file` is open for `'a`, and `state` is what the driver made for it.
    pub(super) unsafe fn new(
        file: NonNull<bindings::file>,
        state: Pin<&'a D::File>,
        call: u32,
    ) -> Self {
        // INVARIANT: As required of the caller.
        Self {
            file,
            state,
            call,
            _lent: PhantomData,
        }
    }

    /// What the driver made for it.
    pub fn state(&self) -> Pin<&'a D::File> {
        self.state
    }

    /// What it was opened for, and what fcntl(2) has made of it since.
    pub fn access(&self) -> Access {
        // SAFETY: Valid by the type invariants.
        unsafe { Access::of(self.file) }
    }

    /// This call must not wait: it fails with `EAGAIN` instead. `O_NONBLOCK` is not the only cause:
    /// preadv2(2) has a flag for one call, and sendfile(2) never waits.
    pub fn nonblocking(&self) -> bool {
        self.call as usize & layout::IOCB_NOWAIT != 0 || self.access().nonblocking()
    }

    /// This call of [`Driver::write`] writes at the end, wherever that is by then. `O_APPEND` is
    /// not the only cause: pwritev2(2) has a flag for one call.
    pub fn append(&self) -> bool {
        self.call as usize & layout::IOCB_APPEND != 0
    }

    /// The offset of the file. Others who have the same file may change it meanwhile.
    pub fn offset(&self) -> u64 {
        // SAFETY: Valid by the type invariants. No lock is for it, in character devices: volatile
        // (`READ_ONCE`), since read(2) in another thread may write it.
        let offset = unsafe { (&raw const (*self.file.as_ptr()).f_pos).read_volatile() };
        offset.unsigned_abs()
    }
}
