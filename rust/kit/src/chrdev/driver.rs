// SPDX-License-Identifier: GPL-2.0-only

//! The trait that a driver implements, and the arguments of its methods.

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
/// The device lacks each operation that is not implemented: read(2) and write(2) fail with `EINVAL`
/// then, lseek(2) with `ESPIPE`, ioctl(2) with `ENOTTY`, and to poll(2) the device is always ready.
#[vtable]
pub trait Driver: Send + Sync + Sized + 'static {
    /// The name of the device numbers in /proc/devices, of the class in /sys/class, and of the node
    /// in /dev.
    const NAME: &'static CStr;

    /// State of each open file.
    type File: Send + Sync + 'static;

    /// Makes the driver, when the module is loaded.
    fn new() -> impl PinInit<Self, Error>;

    /// Makes the state of a file that is being opened, or refuses to open it.
    fn open(&self, access: Access) -> impl PinInit<Self::File, Error>;

    /// Called when the last process has closed the file. The file's state is dropped afterwards.
    fn release(&self, file: &Opened<'_, Self>) {
        let _ = file;
    }

    /// Implements read(2) and its variants. Returns the number of bytes copied: fewer than there is
    /// room for is no error, and none is the end of the file.
    ///
    /// `offset` is the place of the read. The returned number is added to it, and to the offset of
    /// the file, unless the caller has brought an offset of its own, as pread(2) does.
    fn read(
        &self,
        file: &Opened<'_, Self>,
        offset: &mut u64,
        to: &mut ToUser<'_>,
    ) -> Result<usize> {
        let _ = (file, offset, to);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Implements write(2) and its variants. Returns the number of bytes taken, which may be fewer
    /// than offered; a write that can take none is an error.
    ///
    /// `offset` is the place of the write. A driver that writes elsewhere, as with
    /// [`Opened::append`], sets it. The returned number is added as in [`Self::read`].
    fn write(
        &self,
        file: &Opened<'_, Self>,
        offset: &mut u64,
        from: &mut FromUser<'_>,
    ) -> Result<usize> {
        let _ = (file, offset, from);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the extent of the device, for lseek(2). A device without this operation is a stream:
    /// it cannot be positioned, and pread(2), pwrite(2) and sendfile(2) fail too.
    fn extent(&self, file: &Opened<'_, Self>) -> Extent {
        let _ = file;
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Implements poll(2), select(2) and epoll(7): registers the queues that are woken up when the
    /// answer changes, and then answers. A queue is a field of the driver or of the file's state.
    fn poll<'a>(&'a self, file: &Opened<'a, Self>, poll: &Poll<'a>) -> Events {
        let _ = (file, poll);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Implements ioctl(2): `command` as [`kernel::ioctl`] makes it, and an argument, which may be
    /// the address for a [`UserSlice`](kernel::uaccess::UserSlice). Returns `ENOTTY` for an unknown
    /// command.
    ///
    /// Called for programs of 32 bits too. So data behind an argument needs the same layout for
    /// them: integers of fixed size, each aligned to its size, and no pointers.
    fn ioctl(&self, file: &Opened<'_, Self>, command: u32, argument: usize) -> Result<isize> {
        let _ = (file, command, argument);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The extent of a device, in bytes.
#[derive(Clone, Copy)]
pub struct Extent {
    /// The offset from which `SEEK_END` counts: the end of the readable bytes.
    pub end: u64,
    /// The largest offset of a file; lseek(2) fails with `EINVAL` beyond.
    pub limit: u64,
}

/// Flags with which a file was opened.
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

    /// True if the file may be read.
    pub fn read(self) -> bool {
        self.mode as usize & layout::FMODE_READ != 0
    }

    /// True if the file may be written.
    pub fn write(self) -> bool {
        self.mode as usize & layout::FMODE_WRITE != 0
    }

    /// `O_NONBLOCK`: a call that would have to wait fails with `EAGAIN`.
    pub fn nonblocking(self) -> bool {
        self.flags & flags::O_NONBLOCK != 0
    }

    /// `O_APPEND`: writes go to the end.
    pub fn append(self) -> bool {
        self.flags & flags::O_APPEND != 0
    }

    /// `O_TRUNC`: the device's content has to be discarded. Set during open only.
    pub fn truncate(self) -> bool {
        self.flags & flags::O_TRUNC != 0
    }
}

/// An open file, for as long as one call takes.
///
/// # Invariants
///
/// `file` is open for `'a`, and belongs to this driver.
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
    /// `file` is open for `'a`, and `state` is the state that the driver made for it.
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

    /// The state that the driver made for the file.
    pub fn state(&self) -> Pin<&'a D::File> {
        self.state
    }

    /// The flags of the file, with the changes by fcntl(2).
    pub fn access(&self) -> Access {
        // SAFETY: Valid by the type invariants.
        unsafe { Access::of(self.file) }
    }

    /// True if this call must not wait, but fail with `EAGAIN`. `O_NONBLOCK` is not the only cause:
    /// preadv2(2) has a flag for one call, and sendfile(2) never waits.
    pub fn nonblocking(&self) -> bool {
        self.call as usize & layout::IOCB_NOWAIT != 0 || self.access().nonblocking()
    }

    /// True if this call of [`Driver::write`] writes at the end of the device's content. `O_APPEND`
    /// is not the only cause: pwritev2(2) has a flag for one call.
    pub fn append(&self) -> bool {
        self.call as usize & layout::IOCB_APPEND != 0
    }

    /// The offset of the file. Another process with the same file may change it meanwhile.
    pub fn offset(&self) -> u64 {
        // SAFETY: Valid by the type invariants. No lock is for it, in character devices: volatile
        // (`READ_ONCE`), since read(2) in another thread may write it.
        let offset = unsafe { (&raw const (*self.file.as_ptr()).f_pos).read_volatile() };
        offset.unsigned_abs()
    }
}
