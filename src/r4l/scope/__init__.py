# SPDX-License-Identifier: MIT
"""`r4l scope`: a driver at work as a picture in the browser (docs/devices.md, "The scope").

`page` makes the page of recordings (`r4l.pci.recording`), in one file; `live` serves it while the device works;
`load` reads recordings from files.
"""

from r4l.scope.live import LiveScope
from r4l.scope.load import load
from r4l.scope.page import Heading, is_page, render, write

__all__ = ["Heading", "LiveScope", "is_page", "load", "render", "write"]
