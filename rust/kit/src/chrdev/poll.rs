// SPDX-License-Identifier: GPL-2.0-only

//! What poll(2) asks and is answered.

use crate::bindings::layout;
use core::{
    marker::PhantomData,
    ops::BitOr,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    fs::File,
    sync::poll::{
        PollCondVar,
        PollTable, //
    }, //
};

/// Somebody who wants to be woken up, or only wants to know.
///
/// The lifetime is the one of the driver and of the file's state, as [`Driver::poll`] gets them, and
/// invariant: a queue that may go before these do is not taken. For poll(2) sleeps on the queue
/// when the call has returned, and only holds the file.
///
/// [`Driver::poll`]: super::Driver::poll
///
/// # Invariants
///
/// `file` is open for `'a`.
pub struct Poll<'a> {
    file: NonNull<bindings::file>,
    table: PollTable<'a>,
    _invariant: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl<'a> Poll<'a> {
    /// # Safety
    ///
    /// `file` is open for `'a`, and `table` is what its `poll` operation was given. What is lent for
    /// `'a` to who gets this stays for as long as the file is open.
    pub(super) unsafe fn new(
        file: NonNull<bindings::file>,
        table: *mut bindings::poll_table_struct,
    ) -> Self {
        // INVARIANT: As required of the caller.
        Self {
            file,
            // SAFETY: NULL or valid for `'a`, as required of the caller.
            table: unsafe { PollTable::from_raw(table) },
            _invariant: PhantomData,
        }
    }

    /// Asks again when this queue is woken up. To be called before the driver looks at what it
    /// answers by: what changes in between is not missed then.
    pub fn wait_on(&self, queue: &'a PollCondVar) {
        // SAFETY: Open by the type invariants. `register_wait` hands the pointer on to C, and
        // touches nothing that a `File` is more than a `LocalFile` for, which is the offset.
        let file = unsafe { File::from_raw_file(self.file.as_ptr()) };
        self.table.register_wait(file, queue);
    }
}

/// What would not have to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Events(usize);

impl Events {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// There is something to read.
    pub const READ: Self = Self(layout::EPOLLIN | layout::EPOLLRDNORM);
    /// There is room to write.
    pub const WRITE: Self = Self(layout::EPOLLOUT | layout::EPOLLWRNORM);
    /// Nobody is at the other end any more.
    pub const HANG_UP: Self = Self(layout::EPOLLHUP);
    /// Something is wrong.
    pub const ERROR: Self = Self(layout::EPOLLERR);

    /// These, on a condition.
    pub fn when(self, condition: bool) -> Self {
        if condition {
            self
        } else {
            Self::NONE
        }
    }

    pub(super) fn into_raw(self) -> bindings::__poll_t {
        self.0 as bindings::__poll_t
    }
}

impl BitOr for Events {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
