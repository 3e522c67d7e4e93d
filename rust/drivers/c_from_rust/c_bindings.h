/* SPDX-License-Identifier: GPL-2.0-only */
/* The C functions that this module calls: its own, and the kernel's. */

#include <linux/random.h>
#include <linux/types.h>

/* A type and a macro of the module's own. */
struct c_from_rust_sum {
	u64 total;
	u32 count;
};

#define C_FROM_RUST_VERSION 3

/* helpers.c: the inline function hweight32(), which has no symbol to link to. */
unsigned int c_from_rust_hweight32(u32 word);

/* helpers.c: a function of the module's own. */
void c_from_rust_add(struct c_from_rust_sum *sum, u32 value);
