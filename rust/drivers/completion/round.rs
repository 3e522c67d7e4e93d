// SPDX-License-Identifier: GPL-2.0-only

//! A round: it lasts until all who wait are released at once.
//!
//! `complete_all` is for good, and to take it back while the released ones are yet to wake is a
//! race. So the next round is another one, and this one goes with the last who has waited in it.

use kernel::{
    alloc::KVVec,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};
use kit::completion::Completion;

/// How many messages wait for a reader at most.
const MOST: usize = 64;

/// A completion, and the bytes that come with it.
#[pin_data]
pub(crate) struct Round {
    /// Completed once for each message that was given; and for all, at the end of the round.
    #[pin]
    pub(crate) released: Completion,
    /// In the order in which they came.
    #[pin]
    messages: Mutex<KVec<KVVec<u8>>>,
}

impl Round {
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                released <- Completion::new(),
                messages <- new_mutex!(KVec::with_capacity(MOST, GFP_KERNEL)?),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Releases one reader.
    pub(crate) fn give(&self, message: KVVec<u8>) -> Result {
        self.messages
            .lock()
            .push_within_capacity(message)
            .map_err(|_| ENOSPC)?;
        self.released.complete();
        Ok(())
    }

    /// What one who was released reads. `None` if the round has ended: there was a message for
    /// each that was released before.
    pub(crate) fn take(&self) -> Option<KVVec<u8>> {
        self.messages.lock().remove(0).ok()
    }
}
