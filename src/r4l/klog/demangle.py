# SPDX-License-Identifier: MIT
"""Rust's v0 symbol names."""

from __future__ import annotations


def demangle(symbol: str) -> str:
    """x"""
    return symbol


def demangle_text(text: str) -> str:
    """x"""
    return text
