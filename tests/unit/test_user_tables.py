# SPDX-License-Identifier: MIT
"""A mistake in a TOML file of the user's is a usage error, which names the file and the key."""

from __future__ import annotations

import shutil
import tomllib
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import cli, resources, user_tables
from r4l.camp.labs import matrix
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import parse_answers
from r4l.errors import UsageError
from r4l.graft.series import table as series
from r4l.settings import Settings

KIT, E1000 = resources.kit(), resources.rust("drivers/e1000")
SHAPE = {"name": str, "part?": [{"id!": str}]}


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        ('name = "x"\nnaem = 1\n', "there is no key naem", "did you mean name?"),
        ('name = "x"\n[[part]]\nid = "a"\ncolour = 1\n', "there is no key part[0].colour", "its keys are id"),
        ("name = 1\n", "name has to be a text, not 1", "correct the file"),
        ("", "the table lacks name", "correct the file"),
        ("name = ", "is not TOML", "correct the file"),
        (f"name = {'[' * 9999}", "is not TOML", "correct the file"),
        (f"name = 0x{'f' * 9999}", "is not TOML", "correct the file"),
        (b'name = "\xff"', "is not TOML", "correct the file"),
    ],
)
def test_a_mistake_names_file_and_key(text: str | bytes, cause: str, remedy: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        user_tables.read(file, SHAPE)
    assert str(file) in caught.value.cause
    assert cause in caught.value.cause
    assert caught.value.remedy == remedy


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        user_tables.read(tmp_path, SHAPE)


def driver(folder: Path) -> object:
    """Read a driver's series.toml."""
    return series.read_driver(folder, series.read_kit(KIT))


FILES: dict[str, tuple[Path, str, Callable[[Path], object]]] = {
    "a driver's series": (E1000 / "series.toml", "series.toml", driver),
    "the kit's series": (KIT / "series.toml", "series.toml", series.read_kit),
    "a lab": (
        resources.labs() / "03-hello/lab.toml",
        "03-hello/lab.toml",
        lambda folder: Lab.read(folder / "03-hello"),
    ),
}


@pytest.mark.parametrize("line", ["colour = 1\n", "folder = ", "= 1"])
@pytest.mark.parametrize("name", FILES)
def test_each_file_of_users_is_read_so(name: str, line: str, tmp_path: Path) -> None:
    original, inner, read = FILES[name]
    file = tmp_path / inner
    file.parent.mkdir(exist_ok=True)
    file.write_text(line + "\n" + original.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert str(file) in caught.value.cause
    assert ("colour" in caught.value.cause) == ("colour" in line)


def test_a_wrong_answers_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "labs", lambda: tmp_path)
    lab = Lab.read(Path(shutil.copytree(E1000.parents[2] / "labs/03-hello", tmp_path / "03-hello")))
    (tmp_path / "mutants").mkdir()
    (tmp_path / "mutants/hello.toml").write_text("[one]\nbugg = 1\n")
    with pytest.raises(UsageError, match=r"mutants/hello\.toml: there is no key one\.bugg"):
        matrix.variants(lab)


def test_the_command_says_it_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "e1000"
    shutil.copytree(E1000, folder, ignore=shutil.ignore_patterns("tests"))
    text = (folder / "series.toml").read_text(encoding="utf-8")
    (folder / "series.toml").write_text("symbl = 'X'\n" + text, encoding="utf-8")
    arguments = ["r4l", "graft", str(folder), "--into", str(tmp_path), "--series", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert "e1000/series.toml: there is no key symbl" in printed
    assert "did you mean symbol?" in printed
    assert "Traceback" not in printed


LONG_KEYS = {
    "a key": "{} = 1",
    "a table": "[{}]",
    "a table of an array": "x = 1\n  [[ {} ]]",
    "a key of an inline table": "x = {{{} = 1}}",
    "a second key of one": "x = {{z = 1, {} = 1}}",
}
PARTS = ["a", '"a.b"', "'.'", '"\\""', "a \t"]


@pytest.mark.parametrize("where", LONG_KEYS)
@pytest.mark.parametrize("part", PARTS)
def test_a_key_of_thousands_of_parts_is_refused(where: str, part: str, tmp_path: Path) -> None:
    """Regression: an answers.toml of 400 KB took hundreds of GiB, and `r4l lab grade` was killed with the class."""
    for count in (2_000, user_tables.MOST_PARTS + 1):
        text = LONG_KEYS[where].format(".".join([part] * count))
        tomllib.loads(LONG_KEYS[where].format(".".join([part] * 2)))
        with pytest.raises(ValueError, match="a key has more than"):
            user_tables.parse(text)
        with pytest.raises(UsageError, match=r"answers\.toml cannot be read: a key has more than"):
            parse_answers(text.encode())
    (tmp_path / "r4l.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is not TOML: a key has more than"):
        Settings.near(tmp_path)


def test_texts_with_many_dots_are_read() -> None:
    dots = ".".join(["1"] * 500)
    text = f'a = "{dots}"\nb = """\n{"." * 500}\n"""\n[x{".x" * (user_tables.MOST_PARTS - 1)}]\n"{dots}" = 1\n'
    assert user_tables.parse(text) == tomllib.loads(text)


def test_a_text_takes_little_memory(tmp_path: Path) -> None:
    """The worst that both bounds let through."""
    parts = ["a" * 201] * (user_tables.LARGEST // 202 - 1)
    tracemalloc.start()
    try:
        with pytest.raises(RecursionError):
            user_tables.parse(f"{'.'.join(parts)} = 1")
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match="more than 1048576 characters"):
        user_tables.parse("#" * (user_tables.LARGEST + 1))
