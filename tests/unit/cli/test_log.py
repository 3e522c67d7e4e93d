# SPDX-License-Identifier: MIT
"""`r4l log`: its output for readers and programs, and its exit codes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from r4l.cli.log import command
from r4l.errors import EnvironmentFault, UsageError

GOLDEN = Path(__file__).parents[1] / "klog/golden"


def log(*arguments: str | Path, **rest: Any) -> Result:
    return CliRunner().invoke(command, [str(word) for word in arguments], **rest)


def test_json_is_a_list_with_an_entry_for_each_file() -> None:
    files = [GOLDEN / "crashers/oops.log", GOLDEN / "boot.log"]
    done = log(*files, "--json")
    assert done.exit_code == 123
    oops, boot = json.loads(done.stdout)
    assert boot == {"file": str(files[1]), "complaints": []}
    assert oops["file"] == str(files[0])
    (complaint,) = oops["complaints"]
    assert list(complaint) == ["kind", "fatal", "headline", "culprit", "trace", "lines", "task", "cpu"]
    assert complaint["kind"] == "oops"
    assert complaint["fatal"] is True
    assert complaint["headline"] == "BUG: kernel NULL pointer dereference, address: 0000000000000004"
    assert complaint["culprit"] == {
        "symbol": "crash::traps::null_dereference", "module": "crashers", "file": None, "line": None,
    }  # fmt: skip
    first, last = complaint["lines"]
    lines = files[0].read_text().splitlines()
    assert complaint["headline"] in lines[first - 1]
    assert "---[ end trace" in lines[last - 1] or "note: " in lines[last - 1]
    assert complaint["task"].startswith("insmod:")
    assert complaint["cpu"] in (0, 1)
    assert "do_one_initcall" in [frame["symbol"] for frame in complaint["trace"]]


def test_a_log_without_complaints_says_so_and_ends_well() -> None:
    done = log(GOLDEN / "boot.log")
    assert (done.exit_code, "the kernel does not complain" in done.stdout) == (0, True)


@pytest.mark.parametrize("text", [b"\xff\xfe\x00\x01" * 100, b"hello\n", b"\0\n.\n"])
def test_an_unknown_log_has_no_complaint(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "log").write_bytes(text)
    done = log(tmp_path / "log")
    assert (done.exit_code, "does not complain" in done.stdout) == (0, True)
    assert json.loads(log(tmp_path / "log", "--json").stdout) == [{"file": f"{tmp_path}/log", "complaints": []}]


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n\0\0 \t\n", bytes(600_000), b"\xff\xfe", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("how", ["file", "gzip", "input"])
def test_an_empty_log_is_called_so(tmp_path: Path, text: bytes, how: str) -> None:
    """Regression: `dmesg | r4l log` as a user whom the kernel does not let read its log said that all is well."""
    (tmp_path / "log").write_bytes(gzip.compress(text) if how == "gzip" else text)
    asked: dict[str, Any] = {"input": text} if how == "input" else {}
    name = "-" if how == "input" else f"{tmp_path}/log"
    done = log(name, **asked)
    assert (done.exit_code, "! the log is empty" in done.stdout, "✓" in done.stdout) == (0, True, False)
    assert json.loads(log(name, "--json", **asked).stdout) == [{"file": name, "complaints": [], "empty": True}]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input_is_read(arguments: list[str]) -> None:
    text = (GOLDEN / "crashers/warn.log").read_bytes()
    for data in (text, gzip.compress(text)):
        done = log(*arguments, "--json", input=data)
        assert done.exit_code == 123
        (entry,) = json.loads(done.stdout)
        assert (entry["file"], entry["complaints"][0]["kind"]) == ("-", "warning")
        assert entry["complaints"][0]["fatal"] is False


def test_what_is_printed_names_kind_culprit_and_whether_the_task_lives() -> None:
    done = log(GOLDEN / "crashers/oops.log", GOLDEN / "crashers/warn.log", GOLDEN / "panic.log")
    assert done.exit_code == 123
    assert "the task is dead" in done.stdout
    assert "the task went on" in done.stdout
    assert "the kernel stopped" in done.stdout
    assert "→ crash::traps::null_dereference+" in done.stdout
    assert "do_syscall_64" not in done.stdout


def test_what_a_log_says_is_no_markup(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("[    1.000000] BUG: [bold]x[/] [/nothing] \x1b[31m\n")
    assert "[bold]x[/] [/nothing]" in log(tmp_path / "log").stdout


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    done = log(tmp_path / "missing")
    assert isinstance(done.exception, EnvironmentFault)
    assert f"{tmp_path}/missing: No such file" in done.exception.cause
    done = log(GOLDEN / "boot.log", "--module", tmp_path / "missing.ko")
    assert "no such module" in str(done.exception)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A log whose end is missing, behind a complaint."""
    file = tmp_path / "damaged.gz"
    end = "".join(f"[{number:5}.000000] {number**9}\n" for number in range(900, 9000))
    file.write_bytes(gzip.compress((GOLDEN / "crashers/oops.log").read_bytes() + end.encode())[:-20])
    return file


def test_the_complaints_of_a_damaged_log_are_shown(damaged: Path) -> None:
    done = log(damaged)
    assert done.exit_code == 123
    assert "1 complaint, 1 fatal" in done.stdout
    assert "damaged.gz is damaged" in done.stderr
    done = log(damaged, "--json")
    assert done.exit_code == 123
    (entry,) = json.loads(done.stdout)
    assert len(entry["complaints"]) == 1
    assert (entry["error"]["error"], entry["error"]["exit_code"]) == ("usage", 2)


def test_a_damaged_log_without_complaints_is_not_called_well(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(gzip.compress(b"[    1.000000] hello\n" * 1000)[:-1])
    done = log(tmp_path / "log")
    assert isinstance(done.exception, UsageError)
    assert "does not complain" not in done.stdout


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_files_beside_one_that_cannot_be_read_are_read(tmp_path: Path, damaged: Path, json_too: list[str]) -> None:
    done = log(tmp_path / "missing", GOLDEN / "crashers/oops.log", damaged, *json_too)
    assert done.exit_code == 123
    assert done.stderr.count("remedy:") == 2
    if json_too:
        assert [(len(entry["complaints"]), "error" in entry) for entry in json.loads(done.stdout)] == [
            (0, True), (1, False), (1, True),
        ]  # fmt: skip
    else:
        assert done.stdout.count("1 complaint, 1 fatal") == 2
    assert log(tmp_path / "missing", GOLDEN / "boot.log", *json_too).exit_code == 120


def test_a_file_that_is_named_twice_has_two_entries() -> None:
    entries = json.loads(log(GOLDEN / "boot.log", GOLDEN / "boot.log", "--json").stdout)
    assert [entry["file"] for entry in entries] == [str(GOLDEN / "boot.log")] * 2


def test_a_file_whose_name_is_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes((GOLDEN / "crashers/oops.log").read_bytes())
    assert "./-  1 complaint" in log("./-", input=b"").stdout
    assert log("-", input=b"").exit_code == 0
