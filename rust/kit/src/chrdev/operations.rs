// SPDX-License-Identifier: GPL-2.0-only

//! The file operations of a device, and the way from one of them to the driver.

use super::{
    driver::{
        Access,
        Driver,
        Extent,
        Opened, //
    },
    poll::Poll,
    user::{
        FromUser,
        ToUser, //
    }, //
};
use crate::bindings::layout;
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

/// The driver, with its operations before it: an open file points to the operations, which lead to
/// the driver.
#[pin_data]
#[repr(C)]
pub(super) struct Device<D> {
    operations: bindings::file_operations,
    #[pin]
    driver: D,
}

impl<D: Driver> Device<D> {
    /// Makes the driver.
    pub(super) fn new(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let operations = bindings::file_operations {
            // The owner keeps the module from being unloaded while a file is open.
            owner: module.as_ptr(),
            ..Operations::<D>::TABLE
        };
        try_pin_init!(Self {
            operations,
            driver <- D::new(),
        }? Error)
    }

    /// The operations, by a pointer that is valid for the whole device.
    pub(super) fn operations(self: Pin<&Self>) -> *const bindings::file_operations {
        core::ptr::from_ref(self.get_ref()).cast()
    }
}

/// The driver of a file.
///
/// # Safety
///
/// `file` is open for `'a`, or is being opened or released, with the operations of a
/// [`Device<D>`].
unsafe fn driver<'a, D: Driver>(file: NonNull<bindings::file>) -> &'a D {
    // SAFETY: The operations are the first field of a `Device<D>`, and the pointer to them was made
    // of one to the whole. The file holds the module, and that drops the device only when it is
    // unloaded. No code writes to it after it was made.
    unsafe { &(*(*file.as_ptr()).f_op.cast::<Device<D>>()).driver }
}

/// A file for as long as one call of an operation takes. `call` has the flags of the `kiocb`.
///
/// # Safety
///
/// `file` is open for `'a`, or is being released, and is one that [`Operations::<D>::open`] has
/// opened.
unsafe fn opened<'a, D: Driver>(file: NonNull<bindings::file>, call: c_int) -> Opened<'a, D> {
    // SAFETY: `open` put the state there, and only `release` takes it away: when the last call with
    // the file has come to its end.
    unsafe {
        let state = (*file.as_ptr()).private_data;
        Opened::new(file, Pin::<KBox<D::File>>::borrow(state), call as u32)
    }
}

/// The flags of a read or write of `iter`.
///
/// splice(2) calls with the lock of its pipe, and bytes of the kernel's own. A driver that waited
/// would block every process at the other end of the pipe, even in a read that must not wait.
///
/// # Safety
///
/// `kiocb` and `iter` are valid.
unsafe fn call(kiocb: *const bindings::kiocb, iter: *const bindings::iov_iter) -> c_int {
    // SAFETY: Valid, as required of the caller.
    let (flags, kind) = unsafe { ((*kiocb).ki_flags, (*iter).iter_type) };
    let of_process = [
        bindings::iter_type_ITER_UBUF,
        bindings::iter_type_ITER_IOVEC,
    ];
    if of_process.contains(&kind.into()) {
        flags
    } else {
        // CAST: One bit.
        flags | layout::IOCB_NOWAIT as c_int
    }
}

/// The result of a read or write. `copied` is the number of bytes that were really copied.
///
/// A driver that returns more is broken, and the kernel would rely on it: sendfile(2) sends that
/// many bytes of uninitialised memory. So a larger number is an error.
fn outcome(offset: u64, done: Result<usize>, copied: usize) -> Result<(i64, isize)> {
    let done = done?;
    if done > copied {
        kernel::pr_err_once!("a driver says it copied {done} bytes, and it was {copied}\n");
        return Err(EIO);
    }
    let end = offset.checked_add(done as u64).ok_or(EOVERFLOW)?;
    Ok((i64::try_from(end)?, done as isize))
}

/// The operations of a device's files, as the kernel calls them: of a file that was opened by
/// [`Self::open`], and with pointers that are valid for as long as the call takes.
struct Operations<D>(PhantomData<D>);

impl<D: Driver> Operations<D> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        release: Some(Self::release),
        read_iter: if D::HAS_READ {
            Some(Self::read_iter)
        } else {
            None
        },
        write_iter: if D::HAS_WRITE {
            Some(Self::write_iter)
        } else {
            None
        },
        // sendfile(2) and splice(2), through the two above, which do not wait then: see `call`. A
        // stream is useless without waiting, so its users have to call read(2) and write(2).
        splice_read: if D::HAS_READ && D::HAS_EXTENT {
            Some(bindings::copy_splice_read)
        } else {
            None
        },
        splice_write: if D::HAS_WRITE && D::HAS_EXTENT {
            Some(bindings::iter_file_splice_write)
        } else {
            None
        },
        llseek: if D::HAS_EXTENT {
            Some(Self::llseek)
        } else {
            None
        },
        poll: if D::HAS_POLL { Some(Self::poll) } else { None },
        unlocked_ioctl: if D::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        compat_ioctl: if D::HAS_IOCTL {
            bindings::compat_ptr_ioctl
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`]. The file is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            if !D::HAS_EXTENT {
                // SAFETY: Both are valid, and the file is being opened: its mode is ours to change.
                unsafe { bindings::stream_open(inode, file) };
            }
            let file = NonNull::new(file).ok_or(EINVAL)?;
            // SAFETY: It is being opened, and its operations are these.
            let (driver, access) = unsafe { (driver::<D>(file), Access::of(file)) };
            let state = KBox::pin_init(driver.open(access), GFP_KERNEL)?;
            // SAFETY: The private data of a file belongs to its operations.
            unsafe { (*file.as_ptr()).private_data = state.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`]. It is the last call with this file.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        let Some(file) = NonNull::new(file) else {
            return 0;
        };
        // SAFETY: A file is released once, if `open` has returned 0, and nobody calls any of its
        // operations any more. All borrows of the state end before the state does.
        unsafe {
            driver::<D>(file).release(&opened::<D>(file, 0));
            drop(Pin::<KBox<D::File>>::from_foreign(
                (*file.as_ptr()).private_data,
            ));
        }
        0
    }

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`].
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        from_result(|| {
            // SAFETY: Valid, and the file is open for as long as the call takes. `iter` is one to
            // be written to, and ours meanwhile.
            let (file, call, iov) = unsafe {
                let file = NonNull::new((*kiocb).ki_filp).ok_or(EINVAL)?;
                (file, call(kiocb, iter), IovIterDest::from_raw(iter))
            };
            // SAFETY: As above. The kernel has refused negative offsets.
            let mut offset = u64::try_from(unsafe { (*kiocb).ki_pos })?;
            let room = iov.len();
            let mut to = ToUser::new(iov);
            // SAFETY: The file is open, by our own `open`.
            let (driver, opened) = unsafe { (driver::<D>(file), opened::<D>(file, call)) };
            let done = driver.read(&opened, &mut offset, &mut to);
            let (end, done) = outcome(offset, done, room - to.len())?;
            // SAFETY: As above.
            unsafe { (*kiocb).ki_pos = end };
            Ok(done)
        })
    }

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`].
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        from_result(|| {
            // SAFETY: Valid, and the file is open for as long as the call takes. `iter` is one to
            // be read from, and ours meanwhile.
            let (file, call, iov) = unsafe {
                let file = NonNull::new((*kiocb).ki_filp).ok_or(EINVAL)?;
                (file, call(kiocb, iter), IovIterSource::from_raw(iter))
            };
            // SAFETY: As above. The kernel has refused negative offsets.
            let mut offset = u64::try_from(unsafe { (*kiocb).ki_pos })?;
            let offered = iov.len();
            let mut from = FromUser::new(iov);
            // SAFETY: The file is open, by our own `open`.
            let (driver, opened) = unsafe { (driver::<D>(file), opened::<D>(file, call)) };
            let done = driver.write(&opened, &mut offset, &mut from);
            let (end, done) = outcome(offset, done, offered - from.len())?;
            // SAFETY: As above.
            unsafe { (*kiocb).ki_pos = end };
            Ok(done)
        })
    }

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`].
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        let extent = NonNull::new(file).map(|file| {
            // SAFETY: The file is open, by our own `open`.
            unsafe { driver::<D>(file).extent(&opened::<D>(file, 0)) }
        });
        let Some(Extent { end, limit }) = extent else {
            return EINVAL.to_errno().into();
        };
        let [end, limit] = [end, limit].map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        // SAFETY: `file` is valid. The function checks offset and `whence` itself.
        unsafe { bindings::generic_file_llseek_size(file, offset, whence, limit, end) }
    }

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`].
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        let Some(file) = NonNull::new(file) else {
            return 0;
        };
        // SAFETY: The file is open, by our own `open`, and `table` is what this operation is given.
        // Driver and state live longer than the file is open.
        let (driver, opened, poll) = unsafe {
            (
                driver::<D>(file),
                opened::<D>(file, 0),
                Poll::new(file, table),
            )
        };
        driver.poll(&opened, &poll).into_raw()
    }

    /// # Safety
    ///
    /// Called by the kernel: see [`Operations`].
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: c_uint,
        argument: c_ulong,
    ) -> c_long {
        from_result(|| {
            let file = NonNull::new(file).ok_or(EINVAL)?;
            // SAFETY: The file is open, by our own `open`.
            let (driver, opened) = unsafe { (driver::<D>(file), opened::<D>(file, 0)) };
            driver.ioctl(&opened, command, argument)
        })
    }
}

#[cfg(r4l_kunit)]
#[kunit_tests(kit_chrdev)]
mod tests {
    use super::*;

    #[test]
    fn a_read_moves_the_offset_by_what_it_returns() {
        assert_eq!(outcome(10, Ok(4), 4), Ok((14, 4)));
        assert_eq!(outcome(10, Ok(4), 9), Ok((14, 4)));
        assert_eq!(outcome(10, Ok(0), 0), Ok((10, 0)));
        assert_eq!(outcome(10, Err(EAGAIN), 0), Err(EAGAIN));
    }

    #[test]
    fn more_than_was_copied_is_an_error() {
        assert_eq!(outcome(0, Ok(5), 4), Err(EIO));
    }

    #[test]
    fn an_offset_stays_one() {
        assert_eq!(outcome(u64::MAX, Ok(1), 1), Err(EOVERFLOW));
        assert!(outcome(i64::MAX as u64, Ok(1), 1).is_err());
    }
}
