// SPDX-License-Identifier: GPL-2.0-only

//! The question and the answer of poll(2).

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

/// A caller of poll(2), which wants to be woken up or only asks.
///
/// The lifetime is that of the driver and of the file's state, as [`Driver::poll`] gets them, and
/// invariant, so that a queue with a shorter life is not accepted: poll(2) sleeps on the queue
/// after the call has returned, and only holds the file.
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
    /// `file` is open for `'a`, and `table` is the argument of its `poll` operation. References
    /// with the lifetime `'a` that the receiver of this value gets are valid while the file is
    /// open.
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

    /// Has poll(2) ask again when this queue is woken up. Call it before the driver reads the state
    /// that its answer depends on, so that no change in between is missed.
    pub fn wait_on(&self, queue: &'a PollCondVar) {
        // SAFETY: Open by the type invariants. `register_wait` hands the pointer on to C, and
        // touches nothing that a `File` is more than a `LocalFile` for, which is the offset.
        let file = unsafe { File::from_raw_file(self.file.as_ptr()) };
        self.table.register_wait(file, queue);
    }
}

/// Set of the operations that would not have to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Events(usize);

impl Events {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// A read would not wait.
    pub const READ: Self = Self(layout::EPOLLIN | layout::EPOLLRDNORM);
    /// A write would not wait.
    pub const WRITE: Self = Self(layout::EPOLLOUT | layout::EPOLLWRNORM);
    /// The other end is closed.
    pub const HANG_UP: Self = Self(layout::EPOLLHUP);
    /// The device has an error.
    pub const ERROR: Self = Self(layout::EPOLLERR);

    /// This set if the condition holds, else the empty set.
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
