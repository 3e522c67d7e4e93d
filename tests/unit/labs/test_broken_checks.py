# SPDX-License-Identifier: MIT
"""Hidden checks that are broken: the teacher's file is named, and no student is judged by it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from r4l.camp.labs import bundle
from r4l.camp.labs.broken import is_broken
from r4l.camp.labs.check import Check, Verdict
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.running import Checks, DidNotRun
from r4l.camp.labs.workspace import Workspace
from r4l.cli import lab as cli
from r4l.cli.lab import teacher
from r4l.errors import R4LError, VerdictError
from r4l.kernel import Kernel

OWN = 'import pytest\n\n@pytest.mark.checkpoint("own")\ndef test_own():\n    pass\n'
MARK = 'import os, re, pytest\nfrom r4l.vm import VM\n\n@pytest.mark.checkpoint("secret", title="A secret")\n'
FILES = {
    "cannot be parsed": ("def test_more(:\n", r"SyntaxError: invalid syntax"),
    "imports what is not there": ("import not_there\n", r"No module named 'not_there'"),
    "fails while it is read": ("1 / 0\n", r"ZeroDivisionError: division by zero"),
    "has no mark": ("def test_more():\n    pass\n", r"test_more has no @pytest.mark.checkpoint"),
    "has a mark without an id": (
        "import pytest\n\n@pytest.mark.checkpoint()\ndef test_more():\n    pass\n",
        r"test_more has no @pytest.mark.checkpoint",
    ),
    "has no check": ("import pytest\n\ndef tset_more():\n    pass\n", r"no check is in it"),
}
BODIES = {
    "a name that is not there": ("    nowhere()", r"NameError: name 'nowhere' is not defined"),
    "an import": ("    import not_there", r"No module named 'not_there'"),
    "a fixture": ("    pass", r"fixture 'nothing_of_the_kind' not found"),
    "a method of r4l": ("    VM.exec('uname')", r"has no attribute 'exec'"),
    "a function of a module": ("    os.nothing()", r"module 'os' has no attribute 'nothing'"),
    "a call that does not fit": ("    re.sub('a', 'b')", r"sub\(\) missing 1 required positional argument"),
    "a file of the teacher's": ("    open('expected.txt')", r"No such file or directory: 'expected.txt'"),
}


def begin(folder: Path, own: str, hidden: dict[str, str]) -> Checks:
    """Start the checks of a lab, with files of hidden ones."""
    for name in ("checks", "evidence", "hidden", "work"):
        (folder / name).mkdir()
    (folder / "checks/test_one.py").write_text(own)
    for name, text in hidden.items():
        (folder / "hidden" / name).write_text(text)
    lab = cast(Lab, SimpleNamespace(checks=folder / "checks", timeout=60, builds=True, config=None))
    kernel = cast(Kernel, SimpleNamespace(name="stock", arch="x86_64"))
    return Checks(lab, kernel, [folder / "hidden"], folder / "evidence", folder / "work")


def test_a_hidden_file_that_cannot_be_used_leaves_the_other_checks(tmp_path: Path) -> None:
    """Regression: nothing was checked, and the student was to hand in again."""
    more = {"test_fine.py": MARK + "def test_fine():\n    assert False, 'missed'\n"}
    for number, (text, _) in enumerate(FILES.values()):
        more[f"test_{number}.py"] = text
    with begin(tmp_path, OWN, more) as begun:
        found = begun.run(None)
    assert found["own"]["passed"] is True
    assert found["secret"]["passed"] is False
    assert begun.fault == ""
    for number, (_, reason) in enumerate(FILES.values()):
        broken = found[f"hidden-checks-test_{number}.py"]
        assert broken["passed"] is None
        assert re.search(f"the hidden check test_{number}.py is broken: .*{reason}", broken["fault"])


def test_a_check_with_a_mistake_judges_nobody(tmp_path: Path) -> None:
    """Regression: its checkpoint was missed by each student."""
    more = MARK.partition("@")[0]
    for number, (body, reason) in enumerate(BODIES.values()):
        arguments = "nothing_of_the_kind" if "fixture" in reason else ""
        more += f"@pytest.mark.checkpoint('{number}')\ndef test_{number}({arguments}):\n{body}\n\n"
    with begin(tmp_path, f"{MARK}def test_one():\n    nowhere()\n", {"test_more.py": more}) as begun:
        found = begun.run(None)
    for number, (_, reason) in enumerate(BODIES.values()):
        assert found[str(number)]["passed"] is None
        assert re.search(f"the hidden check test_more.py is broken: .*{reason}", found[str(number)]["fault"])
    assert found["secret"]["passed"] is None
    assert "the lab's own check test_one.py is broken" in found["secret"]["fault"]


def _raised(act: str, work: Path) -> BaseException:
    try:
        exec(act, {"re": re, "json": json, "ast": ast, "work": work, "VerdictError": VerdictError})
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is the subject)
        return error
    raise AssertionError(act)


@pytest.mark.parametrize(
    "act",
    [
        "assert False",
        "int('what a guest printed')",
        "''.splitlines()[0]",
        "json.loads('what a guest printed')",
        "ast.literal_eval('what a guest printed (')",
        "compile('what a student wrote (', work / 'test_it.py', 'exec')",
        "re.match('a', 'what a guest printed').group()",
        "re.match('a', 'what a guest printed')[0]",
        "{}['eth0']",
        "len(None)",
        "(work / 'a file that the student has not made').read_text()",
        "open(work / '..' / work.name / 'neither this')",
        "raise VerdictError('the kernel complained')",
        "def check():\n    if not work:\n        found = 1\n    return found\ncheck()",
        "raise SystemExit(1)",
    ],
)
def test_what_a_student_can_bring_about_is_a_miss(act: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").touch()
    assert not is_broken(_raised(act, tmp_path), [tmp_path])


KEEPS = {
    "conftest.py": ("import not_there\n", "No module named 'not_there'"),
    "test_exits.py": (f"{MARK}def test_exits():\n    pytest.exit('enough')\n", "enough"),
    "test_ends.py": (f"{MARK}def test_ends():\n    os._exit(3)\n", ""),
}


@pytest.mark.parametrize(("name", "text", "reason"), [(name, *rest) for name, rest in KEEPS.items()], ids=list(KEEPS))
def test_hidden_checks_that_keep_all_from_running(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with begin(tmp_path, OWN, {name: text}) as begun, pytest.raises(DidNotRun) as caught:
        begun.run(None)
    assert reason in caught.value.reason


class Running:
    """Checks that do not run beside hidden ones."""

    fault = ""

    def __init__(self, lab: Lab, kernel: Kernel, hidden: Any, evidence: Path, work: Path, only: Any) -> None:
        assert not list(evidence.iterdir())
        (evidence / ".shared").mkdir()
        self.hidden = hidden

    def run(self, module: Path | None) -> dict[str, dict[str, Any]]:
        if self.hidden:
            raise DidNotRun("E   NameError: name 'x' is not defined")
        entry = {"title": "", "passed": True, "skipped": "", "fault": ""}
        return {"loads": {**entry, "checkpoint": "loads"}}

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_the_labs_own_checks_run_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r4l.camp.labs.check.Checks", Running)
    monkeypatch.setattr(Check, "_module", lambda *_: None)
    monkeypatch.setattr("r4l.home.home", lambda: tmp_path / "home")
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "work")
    kernel = cast(Kernel, SimpleNamespace(release="7.3.4", name="stock", arch="x86_64"))
    verdict = Check(workspace, [kernel], [tmp_path / "hidden"]).run()
    ends = {outcome.id: outcome for outcome in verdict.outcomes}
    assert ends["loads"].passed is True
    assert ends["hidden-checks"].fault.startswith(f"the hidden checks in {tmp_path / 'hidden'} keep all checks")
    assert "name 'x' is not defined" in ends["hidden-checks"].fault
    monkeypatch.setattr(Running, "run", lambda *_: (_ for _ in ()).throw(DidNotRun("of our own")))
    with pytest.raises(DidNotRun):
        Check(workspace, [kernel], [tmp_path / "hidden"]).run()


@pytest.fixture
def handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(teacher, "prepare_kernels", lambda *_: [])
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "work")
    (tmp_path / "evidence").mkdir()
    verdict = Verdict("hello", "7.3.4", (Outcome("loads", "It loads", "checkpoint", True),))
    kernel = cast(Kernel, SimpleNamespace(toolchain=SimpleNamespace(versions=dict)))
    bundle.write(tmp_path / "it.zip", workspace, "A", [kernel], verdict, tmp_path / "evidence")
    return tmp_path / "it.zip"


def graded(path: Path, monkeypatch: pytest.MonkeyPatch, end: Verdict | Exception) -> Any:
    def run(_check: Check) -> Verdict:
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(Check, "run", run)
    done = CliRunner().invoke(cli.command, ["grade", str(path), "--into", str(path.parent / "class")])
    assert isinstance(done.exception, R4LError)
    return done.exception


def test_the_teacher_is_told_which_file(handed_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = "the hidden check test_more.py is broken: NameError: x"
    reached = Outcome("loads", "It loads", "checkpoint", True)
    verdict = Verdict("hello", "7.3.4", (reached, Outcome("secret", "", "hidden", None, fault=fault)))
    error = graded(handed_in, monkeypatch, verdict)
    assert error.exit_code == 120
    assert error.detail == fault
    assert "correct the check that is named" in error.remedy


@pytest.mark.parametrize("end", [DidNotRun("E   it"), R4LError("a bug of ours"), OSError(5, "Input/output error")])
def test_what_is_not_the_bundles_fault_is_no_reason_to_hand_in_again(
    end: Exception, handed_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: whatever went wrong, the bundle was to be handed in again."""
    error = graded(handed_in, monkeypatch, end)
    assert error.exit_code == 120
    assert "handed in again" not in error.remedy
    assert "it.zip" in error.cause


def test_a_folder_without_a_check_is_refused(handed_in: Path, tmp_path: Path) -> None:
    """Regression: no hidden check ran, and nothing said so."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/more.py").write_text(MARK + "def test_more():\n    pass\n")
    done = CliRunner().invoke(cli.command, ["grade", str(handed_in), "--checks", str(tmp_path / "hidden")])
    assert isinstance(done.exception, R4LError)
    assert done.exception.exit_code == 2
    assert "has no file test_*.py" in done.exception.cause
