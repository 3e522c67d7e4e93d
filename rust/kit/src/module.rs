// SPDX-License-Identifier: GPL-2.0-only

//! The one initialisation of a module.
//!
//! Some values may live in the module's own static only, which no code can forget: the registration
//! of a driver, a network device, a hook. The macros of the kit make a module type with such a
//! value as its content. The type's `init` is a safe function of a public trait, so safe code could
//! call it a second time, and forget the result. [`Initialised`] fails that call.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// State of a module: set once its initialisation has begun.
#[doc(hidden)]
pub struct Initialised(Atomic<bool>);

impl Initialised {
    /// The state of a module that is not initialised yet.
    #[expect(clippy::new_without_default, reason = "it is for a static")]
    pub const fn new() -> Self {
        Self(Atomic::new(false))
    }

    /// Begins the initialisation. The first call succeeds, each other one fails with `EBUSY`.
    ///
    /// The first call is the kernel's: no code of the module runs before its `init`.
    pub fn begin(&self) -> Result {
        if self.0.xchg(true, Relaxed) {
            return Err(EBUSY);
        }
        Ok(())
    }
}
