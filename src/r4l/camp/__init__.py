# SPDX-License-Identifier: MIT
"""The course of the Rust for Linux training camp, which is made with the tool: its labs, rows and demo.

No room outside `camp` and `cli` imports from here. The labs' own material (handouts, starters, checks, answers) lies
in `labs/` at the checkout's root.
"""
