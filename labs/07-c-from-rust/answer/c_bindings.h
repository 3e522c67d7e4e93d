/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of C that Rust sees: bindgen reads this file. */

#include <linux/types.h>

// --- starter
//| /* YOURS (bindings): include the sensor's header. */
//|
//| /* YOURS (ready): bindgen cannot translate BIT(3). Define a constant C_FROM_RUST_READY of type u16. */
//|
//| /* YOURS (helper): declare c_from_rust_millidegrees(), which helpers.c defines. */
// --- answer
#include "sensor.h"

static const u16 C_FROM_RUST_READY = SENSOR_READY;

s32 c_from_rust_millidegrees(const struct sensor_reading *reading);
// --- end
