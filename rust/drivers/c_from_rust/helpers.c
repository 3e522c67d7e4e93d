// SPDX-License-Identifier: GPL-2.0-only

#include <linux/bitops.h>

#include "c_bindings.h"

unsigned int c_from_rust_hweight32(u32 word)
{
	return hweight32(word);
}

void c_from_rust_add(struct c_from_rust_sum *sum, u32 value)
{
	sum->total += value;
	sum->count++;
}
