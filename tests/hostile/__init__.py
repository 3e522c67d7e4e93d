# SPDX-License-Identifier: MIT
"""What strangers try, each attempt a test."""
