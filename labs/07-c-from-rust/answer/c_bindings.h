/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of C that Rust sees: bindgen reads this file. */

#include <linux/types.h>

#include "sensor.h"

static const u16 C_FROM_RUST_READY = SENSOR_READY;

s32 c_from_rust_millidegrees(const struct sensor_reading *reading);
