# SPDX-License-Identifier: MIT
"""Models that come with r4l."""
