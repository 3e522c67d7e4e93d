# SPDX-License-Identifier: MIT
"""`r4l log`: the kernel's complaints in any log."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from r4l.klog.reader import complaints, opened


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True)
def command(files, as_json) -> None:
    out = []
    for file in files:
        with opened(file) as stream:
            found = sorted(complaints(stream, file), key=lambda s: s.records[0].number)
        entries = []
        for s in found:
            c = s.culprit
            task, cpu = s.task
            entries.append({"kind": s.splat_kind, "fatal": s.fatal, "headline": s.headline,
              "culprit": {"symbol": c.symbol, "module": c.module, "file": c.file, "line": c.line} if c else None,
              "trace": [{"symbol": f.symbol} for f in s.trace], "lines": [s.records[0].number, s.records[-1].number], "task": task, "cpu": cpu})
        out.append({"file": str(file), "complaints": entries})
    click.echo(json.dumps(out))
