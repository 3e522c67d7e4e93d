# SPDX-License-Identifier: MIT
"""The kernel log: records, and the complaints cut out of them."""

from r4l.klog.demangle import demangle
from r4l.klog.frames import StackFrame
from r4l.klog.log import KernelLog
from r4l.klog.records import Record, parse
from r4l.klog.source import Sources
from r4l.klog.splat import Splat

__all__ = ["KernelLog", "Record", "Sources", "Splat", "StackFrame", "demangle", "parse"]
