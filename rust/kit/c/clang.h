/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included after the kernel's configuration where clang compiles helpers for a kernel that gcc built (inline.mk).
 *
 * gcc's named address spaces (__seg_gs) stand for per-CPU variables. In clang's inline assembly they lose their segment
 * where the operand is a variable, and no diagnostic tells. For its own kernels clang is never configured with them
 * (arch/x86/Kconfig, CC_HAS_NAMED_AS and USE_X86_SEG_SUPPORT), and per-CPU variables get their prefix in the text.
 */
#undef CONFIG_CC_HAS_NAMED_AS
#undef CONFIG_USE_X86_SEG_SUPPORT
