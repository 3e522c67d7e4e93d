# SPDX-License-Identifier: MIT
"""A complaint of the kernel, cut out of its log as one object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from r4l.errors import VerdictError
from r4l.klog import blame, frames, kinds
from r4l.klog.demangle import demangle_text
from r4l.klog.fold import readable
from r4l.klog.frames import StackFrame
from r4l.klog.records import Record
from r4l.klog.source import Sources

_IN = re.compile(r"(?: in:? | at:? (?:\S{1,256}:\d+ )?|caller is |epc : )(?:\[<[0-9a-f]+>\] )?" + frames.FUNCTION)
"""A function named in a sentence."""

DEATHS = ("machine", "task", "")
"""Results of `kinds.death`, the worst first."""


def _number_of_cpu(digits: str) -> int | None:
    """Return the number of a CPU; None if it has more digits than any, in a log that is damaged."""
    return int(digits) if len(digits) < 8 else None


class Splat(VerdictError):
    """A complaint of the kernel.

    Attributes:
        splat_kind: name of the kind in kinds.toml.
        headline: the line that states the complaint.
        records: all lines of the complaint, in order.
        detail: the lines formatted for a reader: names demangled, source lines beside frames, the kernel's own frames
            folded.
        trace: the call trace.
        place: the faulting instruction, if the kernel names it.
        killed: `machine` if the lines show that the kernel stopped, `task` if they show that a task was killed in the
            kernel; empty otherwise.
    """

    category = "splat"

    @property
    def stray_breakpoint(self) -> bool:
        """True if the kernel hit a breakpoint that it does not know.

        Under TCG with several CPUs the emulator can cause this. Linux patches its code through a breakpoint
        (arch/x86/kernel/alternative.c, smp_text_poke_batch_finish). QEMU first drops its translation of a page and then
        writes (accel/tcg/cputlb.c, notdirty_write): a CPU that translates in between keeps the breakpoint. On a loaded
        host, one boot in fifty failed this way.
        """
        return self.headline.startswith("Oops: int3:")

    def __init__(self, splat_kind: str, headline: str, records: Iterable[Record], *, log: Path | None = None) -> None:
        self.records = tuple(records)
        self.splat_kind = splat_kind
        self.headline = demangle_text(headline)
        self._sections = frames.sections(self.records)
        main = frames.main_section(self._sections, splat_kind)
        self.trace = tuple(main.frames)
        self.place = main.before
        self.killed = min((kinds.death(record.text) for record in self.records), key=DEATHS.index, default="")
        self._located = False
        self._known: dict[StackFrame, StackFrame] = {}
        self._told = False
        super().__init__(
            self._sentence(),
            "read the kernel's lines below; start at the topmost frame of your module"
            if not self.stray_breakpoint
            else "run it again, or with cpus=1: several emulated CPUs can hit a breakpoint of the kernel's patching",
            log=log,
        )

    @property
    def told(self) -> bool:
        """True if the complaint was raised, or returned to a caller that asked for complaints."""
        return self._told or self.__traceback__ is not None

    @told.setter
    def told(self, value: bool) -> None:
        self._told = value

    def locate(self, sources: Sources) -> None:
        """Add source lines to the frames and to the message. Only the first call looks them up."""
        if self._located:
            return
        self._located = True
        exact = ((frame, False) for text in self.lines if (frame := frames.place_of(text)))
        returns = ((frame, True) for text in self.lines if (frame := frames.frame_of(text)))
        # Frames of all traces: lockdep shows the holder of the other lock, KASAN the stack of the free.
        known = sources.locate([*exact, *returns])
        if not known:
            return
        self._known = known
        self.place = known.get(self.place, self.place) if self.place else None
        self.trace = tuple(known.get(frame, frame) for frame in self.trace)
        self.cause = self._sentence()
        self.args = (self.cause,)

    def _sentence(self) -> str:
        culprit = self.culprit
        begin = f"{culprit.where} — " if culprit and culprit.where else ""
        where = f" in {culprit.symbol}" if culprit else ""
        module = f" [{culprit.module}]" if culprit and culprit.module else ""
        return f"{begin}the kernel complained ({self.splat_kind}): {self.headline}{where}{module}"

    @property
    def detail(self) -> str:
        """Text of the complaint for a reader: names demangled, source lines beside frames, the kernel's own frames
        folded."""
        return self._text or readable(self.records, self._known)

    @detail.setter
    def detail(self, text: str) -> None:
        self._text = text

    @property
    def fatal(self) -> bool:
        """True if the kernel killed a task or panicked."""
        return bool(self.killed)

    def _blamed(self) -> StackFrame | None:
        """Return the frame to blame, or the function that the headline names."""
        begins = kinds.headline(self.headline)
        asked = {"outer": begins.outer, "deep": begins.deep} if begins else {}
        main = [self.place, *self.trace]
        said = self._said(begins.culprit) if begins and begins.culprit else []
        if begins and begins.met and self.trace:
            said = [frame for frame in said if frame in self.trace]
        if named := next((frame for frame in said if not self._is_doubtful(frame)), None):
            return named
        named = self._named()
        if named and named.raw in self.headline and not any(frame and frame.raw == named.raw for frame in main):
            # The trace belongs to another task that printed in between.
            return named
        several = self.splat_kind in kinds.WIDE or self.splat_kind in kinds.CHAINED
        others = [[each.before, *each.frames] for each in self._sections] if several else []
        for stack in [main, *others]:
            if found := blame.culprit(stack, self.splat_kind, **asked, strict=True):
                return found
        if named is None and not any(frame.certain for frame in self.trace):
            # An unwinder that is sure of no frame lists the addresses that are on the stack.
            named = blame.culprit(main, self.splat_kind, **asked, strict=True, doubtful=True)
        found = named or blame.culprit(main, self.splat_kind)
        if found is None and self.place and not blame.only_reports(self.place.symbol):
            # Nobody else is left: the kernel says that the fault is here.
            return self.place
        return found

    @property
    def culprit(self) -> StackFrame | None:
        """The frame to look at first: the innermost function of a module's author, else of any module, else of the
        kernel.

        Functions that only carry the message are skipped. For a task that hangs, the function that started its current
        work counts (`r4l.klog.blame`). None if the log does not tell.
        """
        found = self._blamed()
        return self._known.get(found, found) if found else None

    def _named(self) -> StackFrame | None:
        """Return the first function named in the sentences before any trace, messengers excluded."""
        for text in self.lines:
            if kinds.opens_trace(text):
                break
            match = _IN.search(text)
            if match is None:
                continue
            module = match["module"] is not None
            if not blame.is_messenger(demangle_text(match["symbol"]), self.splat_kind, module=module):
                return frames.frame_from(match)
        return None

    def _is_doubtful(self, named: StackFrame) -> bool:
        """True if the trace has a better culprit than a function that the kernel's own words name."""
        if named.module is None and any(frame.module for frame in self.trace if frame.certain):
            return True
        return blame.is_messenger(named.symbol, self.splat_kind, module=named.module is not None)

    def _said(self, words: re.Pattern[str]) -> list[StackFrame]:
        """Return the functions that a pattern finds in the first line that it matches; those in the trace as there."""
        match = next((found for text in self.lines if (found := words.search(text))), None)
        if match is None:
            return []
        groups = match.groupdict()
        module = groups.pop("module", None)
        return [
            next(
                (frame for frame in self.trace if frame.raw == name),
                StackFrame(demangle_text(name), 0, 0, module, True, name),
            )
            for name in groups.values()
            if name
        ]

    @property
    def task(self) -> tuple[str, int | None]:
        """Task of the complaint as `name:pid`, and its CPU. The task is `T123` if the kernel gives no name."""
        task, cpu = "", None
        for text in self.lines:
            found = next((match for pattern in kinds.TASKS if (match := pattern.match(text.lstrip()))), None)
            if found is None:
                continue
            named = found.groupdict()
            name = f"{named['name']}:{named['pid']}"
            task = task or name
            if named.get("cpu") and name == task:
                cpu = _number_of_cpu(named["cpu"])
                break
        caller = self.records[0].caller or ""
        if caller.startswith("C") and cpu is None:
            cpu = _number_of_cpu(caller[1:])
        return task or (caller if caller.startswith("T") else ""), cpu

    @property
    def first(self) -> int:
        """Number of the first line in its file, from 1; 0 without a file."""
        return self.records[0].number

    @property
    def last(self) -> int:
        """Number of the last line in its file."""
        return self.records[-1].number

    @property
    def lines(self) -> list[str]:
        """Texts of the records, as the kernel printed them."""
        return [record.text for record in self.records]
