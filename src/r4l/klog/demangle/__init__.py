# SPDX-License-Identifier: MIT
"""Rust's v0 symbol names, demangled: `parser` knows the grammar, `cursor` reads its letters, numbers and names."""

from r4l.klog.demangle.parser import demangle, demangle_text

__all__ = ["demangle", "demangle_text"]
