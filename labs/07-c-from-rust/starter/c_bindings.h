/* SPDX-License-Identifier: GPL-2.0-only */
/* What Rust sees of C: bindgen reads this file. */

#include <linux/types.h>

/* YOURS (bindings): include the sensor's header. */

/* YOURS (ready): bindgen has no word for BIT(3). Define a constant C_FROM_RUST_READY of type u16. */

/* YOURS (helper): declare c_from_rust_millidegrees(), which helpers.c defines. */
