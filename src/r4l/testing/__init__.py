# SPDX-License-Identifier: MIT
"""pytest for kernel drivers: a plugin that any project has once r4l is installed.

`options` what the command line and pytest.ini say, `machine` the VM that a test's markers ask for, `fixtures`,
`verdict` how the kernel's complaints and the evidence get into a test's report, `exitcodes` ours for pytest's.
"""

from r4l.testing.fixtures import interface_of
from r4l.testing.guest_tests import Kselftest, KUnit
from r4l.testing.leaks import LeakFound, Leaks

__all__ = ["KUnit", "Kselftest", "LeakFound", "Leaks", "interface_of"]
