# SPDX-License-Identifier: MIT
"""Devices that come with r4l."""
