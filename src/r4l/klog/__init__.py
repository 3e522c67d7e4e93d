# SPDX-License-Identifier: MIT
"""The kernel's log: records, and the kernel's complaints cut out of them."""

from r4l.klog.demangle import demangle
from r4l.klog.log import KernelLog
from r4l.klog.records import Record, parse
from r4l.klog.splat import Splat, StackFrame

__all__ = ["KernelLog", "Record", "Splat", "StackFrame", "demangle", "parse"]
