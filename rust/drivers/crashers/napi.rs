// SPDX-License-Identifier: GPL-2.0-only

//! A NAPI context without a network card.

use super::c;
use kernel::prelude::*;

/// NAPI enabled twice, as by a driver whose `stop` does not disable it: a BUG.
#[inline(never)]
pub(crate) fn enable_twice() -> Result {
    // SAFETY: The function has no requirements.
    let napi = unsafe { c::crashers_napi_new() };
    if napi.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: It is valid and not enabled.
    unsafe { c::napi_enable(napi) };
    // marker: napi-twice
    // SAFETY: Broken on purpose: it is enabled.
    unsafe { c::napi_enable(napi) };
    Ok(())
}
