/* SPDX-License-Identifier: GPL-2.0-only */
/* The C parts of this module: inline functions, a parameter that is text, and a rule that only C breaks. */

#ifndef CRASHERS_C_BINDINGS_H
#define CRASHERS_C_BINDINGS_H

#include <linux/types.h>

struct napi_struct;

/* helpers.c: the parameter `kind`; the kernel's Rust has numbers alone for parameters. */
const char *crashers_kind(void);

/* helpers.c: inline functions. */
void crashers_irq_disable(void);
void crashers_irq_enable(void);
void crashers_lock_irq(void);
void crashers_unlock_irq(void);

/* helpers.c: dma_mapping_error() of a struct device. */
bool crashers_dma_failed(void *device, u64 handle);

/* helpers.c: a NAPI context of an unregistered device, not enabled; NULL without memory. Never freed. */
struct napi_struct *crashers_napi_new(void);

/* The kernel's. */
void napi_enable(struct napi_struct *n);

/* helpers.c: shifts a one by that many bits. UBSAN instruments C alone. */
unsigned int crashers_shift(unsigned int bits);

#endif
