// SPDX-License-Identifier: GPL-2.0-only
/* Functions for Rust to call, in place of inline ones. */

#include "c_bindings.h"

// --- starter
//| /* YOURS (helper): define c_from_rust_millidegrees(). It calls sensor_millidegrees(). */
// --- answer
s32 c_from_rust_millidegrees(const struct sensor_reading *reading)
{
	return sensor_millidegrees(reading);
}
// --- end
