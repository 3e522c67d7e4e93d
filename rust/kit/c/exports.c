// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the kernel's own tree: exports all of the kit to modules, like rust/exports.c
 * the crates beside it. The headers are generated from the objects.
 */

#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_kit_generated.h"
#include "exports_helpers_generated.h"
