# SPDX-License-Identifier: MIT
"""Attacks by untrusted code and files; each attempt is a test."""
