// SPDX-License-Identifier: GPL-2.0-only

//! Parameters of modules.

pub use crate::compat::parameter as value;
