# SPDX-License-Identifier: MIT
"""A language server that says what no language server says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from r4l.errors import EnvironmentFault
from r4l.ide.lsp import LanguageServer


@pytest.mark.parametrize("said", ["Content-Length: 1\\r\\n\\r\\n{", "Content-Length: x\\r\\n\\r\\n"])
def test_it_is_an_error_at_once(said: str, tmp_path: Path) -> None:
    """Regression: the thread that reads ended, and each request waited for its ten minutes."""
    script = f"import os, sys, time; open('pid', 'w').write(str(os.getpid())); sys.stdout.write('{said}')"
    script += "; sys.stdout.flush(); time.sleep(600)"
    with pytest.raises(EnvironmentFault, match="cannot be understood"):
        LanguageServer([sys.executable, "-c", script], tmp_path, patience=20)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
