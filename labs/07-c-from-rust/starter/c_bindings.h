/* SPDX-License-Identifier: GPL-2.0-only */
/* The part of C that Rust sees: bindgen reads this file. */

#include <linux/types.h>

/* YOURS (bindings): include the sensor's header. */

/* YOURS (ready): bindgen cannot translate BIT(3). Define a constant C_FROM_RUST_READY of type u16. */

/* YOURS (helper): declare c_from_rust_millidegrees(), which helpers.c defines. */
