// SPDX-License-Identifier: GPL-2.0-only

//! A character device that is a module: one node under /dev, from load to unload.
//!
//! The kernel's own [`kernel::miscdevice`] lacks, for a device that its openers share:
//!
//! * state of the device: there each opening has its own, and `open` sees nothing else;
//! * `O_NONBLOCK`: `read_iter` has a [`Kiocb`](kernel::fs::Kiocb), which does not tell;
//! * `poll`;
//! * in Linux 7.2, the owner: a module can be unloaded while its file is open, and what is called
//!   next is gone (`owner` of `struct file_operations` is set since 7.3).
//!
//! Declared with [`module_misc!`](crate::module_misc).
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use core::{marker::PhantomData, pin::Pin, ptr::NonNull};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    fs::{file::flags, File, LocalFile},
    iov::{IovIterDest, IovIterSource},
    prelude::*,
    sync::poll::PollTable,
    types::Opaque,
};

/// A device: what all who have its file open share.
pub trait Device: Send + Sync + Sized + 'static {
    /// The name of the node under /dev.
    const NAME: &'static CStr;

    /// Makes the device, when the module is loaded.
    fn new() -> impl PinInit<Self, Error>;

    /// read(2) and its kin. Returns how many bytes `to` was given; 0 is the end of the file.
    fn read(&self, call: &mut Call<'_>, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// write(2) and its kin. Returns how many bytes of `from` it took.
    fn write(&self, call: &mut Call<'_>, from: &mut IovIterSource<'_>) -> Result<usize>;

    /// poll(2) and its kin: has the caller wait with `table`, and then says what need not wait.
    fn poll(&self, _file: &File, _table: &PollTable<'_>) -> Ready {
        Ready {
            read: true,
            write: true,
        }
    }
}

/// What would not have to wait.
#[derive(Clone, Copy, Default)]
pub struct Ready {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
}

/// A read or a write that is under way.
///
/// # Invariants
///
/// The `struct kiocb` is valid for `'a`, with its file, and nobody else uses it meanwhile.
pub struct Call<'a> {
    kiocb: NonNull<bindings::kiocb>,
    _lent: PhantomData<&'a mut ()>,
}

impl Call<'_> {
    /// Whether it must not wait: the file has `O_NONBLOCK` now.
    ///
    /// (`RWF_NOWAIT`, which says so for one call, is refused before it comes here: only files
    /// with `FMODE_NOWAIT` have it.)
    #[inline]
    pub fn is_nonblocking(&self) -> bool {
        // SAFETY: Valid by the type invariants. A `fdget_pos` of this system call is on this very
        // thread, as `LocalFile` allows.
        let file = unsafe { LocalFile::from_raw_file((*self.kiocb.as_ptr()).ki_filp) };
        file.flags() & flags::O_NONBLOCK != 0
    }

    /// Where in the file it begins: for read(2) where the last call has left it, 0 at first.
    #[inline]
    pub fn position(&self) -> i64 {
        // SAFETY: Valid by the type invariants.
        unsafe { (*self.kiocb.as_ptr()).ki_pos }
    }

    /// Where the next call begins; of no effect for pread(2).
    #[inline]
    pub fn set_position(&mut self, position: i64) {
        // SAFETY: Valid by the type invariants, and nobody else uses it.
        unsafe { (*self.kiocb.as_ptr()).ki_pos = position };
    }
}

/// A device and what the kernel knows it by.
///
/// `misc` is the first: a pointer to it is one to the whole.
#[repr(C)]
#[pin_data]
struct Registered<D> {
    misc: Opaque<bindings::miscdevice>,
    operations: Opaque<bindings::file_operations>,
    #[pin]
    device: D,
}

/// The hold of a module on its device; there are no new openings once it is dropped.
#[doc(hidden)]
pub struct Registration<D: Device>(Pin<KBox<Registered<D>>>);

// SAFETY: There is nothing to be done with a reference to it.
unsafe impl<D: Device> Sync for Registration<D> {}

// SAFETY: `D` is `Send`, and any thread may deregister a misc device.
unsafe impl<D: Device> Send for Registration<D> {}

impl<D: Device> Registration<D> {
    /// Makes the device and its node.
    ///
    /// # Safety
    ///
    /// `owner` is the module that has this code. The value lives until that module's exit, which
    /// drops it and does not forget it; nothing of the module's init fails once it is made.
    pub unsafe fn new(owner: &'static ThisModule) -> Result<Self> {
        let registered = KBox::try_pin_init(
            try_pin_init!(Registered {
                misc: Opaque::new(bindings::miscdevice {
                    minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                    name: D::NAME.as_char_ptr(),
                    ..pin_init::zeroed()
                }),
                operations: Opaque::new(bindings::file_operations {
                    owner: owner.as_ptr(),
                    read_iter: Some(Self::read_iter),
                    write_iter: Some(Self::write_iter),
                    poll: Some(Self::poll),
                    ..pin_init::zeroed()
                }),
                device <- D::new(),
            }? Error),
            GFP_KERNEL,
        )?;
        let misc: *mut bindings::miscdevice = core::ptr::from_ref(&*registered).cast_mut().cast();
        // SAFETY: Nobody knows it yet. It lies in pinned memory until `drop` has deregistered it.
        // The operations and the device lie there for longer than any file is open: an open file
        // holds `owner`, and the value is dropped in the exit of that, as required of the caller.
        // There is no `open`, so `private_data` of a file stays what `misc_open` has made it: this
        // pointer, which is valid for all of `Registered`.
        to_result(unsafe {
            (*misc).fops = registered.operations.get();
            bindings::misc_register(misc)
        })
        .map(|()| Self(registered))
    }

    /// # Safety
    ///
    /// `file` is an open file of a device that [`Self::new`] has made, open for `'a`.
    unsafe fn device<'a>(file: *const bindings::file) -> &'a D {
        // SAFETY: As `new` says, it is a pointer to the whole, which outlives the file. There are
        // only shared references to it.
        unsafe { &(*(*file).private_data.cast::<Registered<D>>()).device }
    }

    /// # Safety
    ///
    /// `kiocb` is valid for `'a`, in which nobody else uses it, and its file is one of a device
    /// that [`Self::new`] has made.
    unsafe fn begin<'a>(kiocb: *mut bindings::kiocb) -> (&'a D, Call<'a>) {
        // INVARIANT: As required of the caller.
        let call = Call {
            // SAFETY: A valid pointer is not null.
            kiocb: unsafe { NonNull::new_unchecked(kiocb) },
            _lent: PhantomData,
        };
        // SAFETY: As required of the caller. The call holds its file open.
        (unsafe { Self::device((*kiocb).ki_filp) }, call)
    }

    /// # Safety
    ///
    /// Called by the kernel, with a call on a file of a device that [`Self::new`] has made.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        to: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: As required of the caller, who has both for this call alone; `to` is one to
        // write to.
        let ((device, mut call), to) = unsafe { (Self::begin(kiocb), IovIterDest::from_raw(to)) };
        returned(device.read(&mut call, to))
    }

    /// # Safety
    ///
    /// Called by the kernel, with a call on a file of a device that [`Self::new`] has made.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        from: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: As required of the caller, who has both for this call alone; `from` is one to
        // read from.
        let ((device, mut call), from) =
            unsafe { (Self::begin(kiocb), IovIterSource::from_raw(from)) };
        returned(device.write(&mut call, from))
    }

    /// # Safety
    ///
    /// Called by the kernel, with a file of a device that [`Self::new`] has made.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: As required of the caller. poll(2) takes no `fdget_pos`. The table, which may be
        // NULL, is valid for this call.
        let (device, file, table) = unsafe {
            (
                Self::device(file),
                File::from_raw_file(file),
                PollTable::from_raw(table),
            )
        };
        let ready = device.poll(file, &table);
        let mut events = 0;
        if ready.read {
            events |= bindings::POLLIN | bindings::POLLRDNORM;
        }
        if ready.write {
            events |= bindings::POLLOUT | bindings::POLLWRNORM;
        }
        events
    }
}

/// What the C side wants to hear.
#[inline]
fn returned(result: Result<usize>) -> isize {
    match result {
        // CAST: No call is for more bytes than an `isize` holds (MAX_RW_COUNT).
        Ok(bytes) => bytes as isize,
        Err(error) => error.to_errno() as isize,
    }
}

impl<D: Device> Drop for Registration<D> {
    fn drop(&mut self) {
        // SAFETY: Registered in `new`, deregistered once. It waits for openings under way.
        unsafe { bindings::misc_deregister(self.0.misc.get()) };
    }
}

/// Declares a module that is a [`Device`], and nothing besides. Takes what `module!` takes.
#[macro_export]
macro_rules! module_misc {
    (type: $type:ty, $($fields:tt)*) => {
        /// The module: it owns the device.
        struct MiscModule {
            _registration: $crate::misc::Registration<$type>,
        }

        impl ::kernel::Module for MiscModule {
            fn init(
                module: &'static ::kernel::ThisModule,
            ) -> ::kernel::error::Result<Self> {
                ::core::result::Result::Ok(Self {
                    // SAFETY: `module` is this one. `module!` keeps the value in a static, and
                    // drops it when the module is unloaded. It is the last that init makes.
                    _registration: unsafe { $crate::misc::Registration::new(module) }?,
                })
            }
        }

        ::kernel::prelude::module! {
            type: MiscModule,
            $($fields)*
        }
    };
}
