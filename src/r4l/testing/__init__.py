# SPDX-License-Identifier: MIT
"""pytest plugin for kernel drivers, active in every project once r4l is installed.

`options` reads the command line and pytest.ini, `machine` the marker for a test's VM, `fixtures` defines the fixtures,
`verdict` adds the kernel's complaints and the evidence to a test's report, `exitcodes` maps pytest's exit codes to
r4l's.
"""

from r4l.testing.fixtures import interface_of
from r4l.testing.guest_tests import Kselftest, KUnit
from r4l.testing.leaks import LeakFound, Leaks

__all__ = ["KUnit", "Kselftest", "LeakFound", "Leaks", "interface_of"]
