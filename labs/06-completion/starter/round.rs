// SPDX-License-Identifier: GPL-2.0-only

//! A round, which lasts until all readers are released at once.
//!
//! `complete_all` is final, and resetting it while released readers have yet to wake up is a race.
//! So the next round is another value, and the last reader of the old round frees it.

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

/// Largest number of messages that wait for a reader.
const MOST: usize = 64;

/// A completion, and its messages.
#[pin_data]
pub(crate) struct Round {
    /// Completed once for each message, and for all readers at the end of the round.
    #[pin]
    pub(crate) released: Completion,
    /// The messages in the order in which they came.
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
            .map_err(|_| ENOSPC)
        // YOURS (released, each): release one waiting reader, or the next to come.
    }

    /// Takes the message of a released reader. `None` if the round has ended: each reader released
    /// before has a message.
    pub(crate) fn take(&self) -> Option<KVVec<u8>> {
        self.messages.lock().remove(0).ok()
    }
}
