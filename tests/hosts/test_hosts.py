# SPDX-License-Identifier: MIT
"""From nothing to a Rust module in a VM, on each machine of hosts.toml."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts.machine import HOSTS, Machine, is_boxed
from tests.hosts.proxy import proxy

from r4l import home

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="making machines needs root"),
]


@pytest.fixture(params=HOSTS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Each machine, as it is when nobody has used r4l on it."""
    if HOSTS[request.param].get("sandbox", "").startswith("bubblewrap") and is_boxed():
        pytest.skip("in a sandbox, a user's own sandbox is not that of a machine")
    # Not below /tmp, which may be small or in memory.
    folder = Path(tempfile.mkdtemp(prefix=f"{request.param}-", dir=home.room("hosts")))
    folder.chmod(0o755)
    made = Machine.make(request.param, folder, HOSTS[request.param])
    try:
        yield made
    finally:
        made.remove()


def test_from_nothing_to_a_module_in_a_vm(machine: Machine, tmp_path: Path) -> None:
    socket = tmp_path / "proxy"
    way = socket if machine.of.get("proxy") else None
    with proxy(socket) as asked:
        begin = time.monotonic()
        done = machine.run("./r4l", "run", "rust/drivers/hello", proxy=way)
        seconds = time.monotonic() - begin
        sandbox = machine.sandbox(way) if done.returncode == 0 else ""
    note(machine.name, done.returncode == 0, seconds, sandbox)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello, world, from Rust" in done.stderr
    assert sandbox.startswith(machine.of.get("sandbox", ""))
    if way:
        assert any("InRelease" in line for line in asked)
    if "apt" not in machine.of["packages"]:
        assert "apt" not in done.stderr.replace("capture", "")


def note(name: str, ok: bool, seconds: float, sandbox: str) -> None:
    """Keep what came of it, for `python docs/hosts.py`."""
    path = home.room("hosts") / "results.json"
    with home.lock("hosts"):
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known[name] = {
            "passed": ok,
            "seconds": round(seconds),
            "sandbox": sandbox.partition(" (")[0],
            "day": time.strftime("%Y-%m-%d"),
        }
        home.replace_text(path, json.dumps(known, indent=1))
