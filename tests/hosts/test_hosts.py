# SPDX-License-Identifier: MIT
"""From nothing to a Rust module in a VM, on each machine of hosts.toml."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hosts.machine import HOSTS, Machine, is_boxed
from tests.hosts.outcome import noted
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


PROOFS = {"run": "Hello, world, from Rust", "demo": "passed: ", "selftest": " passed, "}
"""Last words of each command."""


def test_from_nothing_to_a_module_in_a_vm(machine: Machine, wheels: Path, tmp_path: Path) -> None:
    socket = tmp_path / "proxy"
    way = socket if machine.of.get("proxy") else None
    with proxy(socket) as asked, noted(machine.name) as outcome:
        begin, outcome.command = time.monotonic(), " ".join(machine.of.get("command", []))
        if machine.of.get("installed"):
            machine.install(wheels)
        command = machine.of.get("command", ["run", "rust/drivers/hello"])
        done = machine.run(machine.program, *command, proxy=way)
        outcome.seconds = time.monotonic() - begin
        assert done.returncode == 0, done.stdout + done.stderr
        assert PROOFS[command[0]] in done.stdout + done.stderr
        if command[0] == "demo":
            page = re.search(r"^report: +/(\S+)$", done.stdout, re.MULTILINE)
            assert page, done.stdout
            assert "<html" in (machine.root / page[1]).read_text(encoding="utf-8")
        outcome.sandbox = machine.sandbox(way)
        assert outcome.sandbox.startswith(machine.of.get("sandbox", ""))
        if way:
            assert any("InRelease" in line for line in asked)
        if "apt" not in machine.of["packages"]:
            assert not re.search(r"\bapt\b", done.stderr)
