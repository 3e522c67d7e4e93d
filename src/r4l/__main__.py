# SPDX-License-Identifier: MIT
"""`python -m r4l`."""

from r4l.cli import main

if __name__ == "__main__":
    main()
