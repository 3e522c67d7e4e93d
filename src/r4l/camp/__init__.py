# SPDX-License-Identifier: MIT
"""The course of the Rust for Linux training camp, made with r4l: its labs, rows and demo.

No room other than `camp` and `cli` imports from here. The labs' own material (handouts, starters, checks, answers) is
in `labs/` at the checkout's root.
"""
