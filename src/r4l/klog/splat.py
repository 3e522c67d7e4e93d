# SPDX-License-Identifier: MIT
"""A complaint of the kernel's, cut out of its log as one object."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from r4l.errors import VerdictError
from r4l.klog import frames, kinds
from r4l.klog.demangle import demangle_text
from r4l.klog.fold import readable
from r4l.klog.frames import StackFrame
from r4l.klog.kinds import classify
from r4l.klog.records import Record
from r4l.klog.source import Sources

MAX_LINES = 400
PREAMBLE = 4
GAP = 1.0
"""Seconds of the guest's clock between two lines after which a splat is taken to be over."""


DEATHS = ("machine", "task", "")
"""What a line may show (`kinds.death`), the worst first."""


class Splat(VerdictError):
    """The kernel complained.

    Attributes:
        splat_kind: what about, a name in kinds.toml.
        headline: the line that says it.
        records: all lines of it, as they came.
        detail: the same for a reader: names demangled, the source beside frames, the kernel's own frames folded.
        trace: the call trace.
        place: the instruction at fault, where the kernel names it.
        killed: `machine` where its lines show that the kernel stopped, `task` where they show that a task was killed in
            the kernel; empty where all went on.
    """

    kind = "splat"

    @property
    def stray_breakpoint(self) -> bool:
        """Whether the kernel met a breakpoint where it knows of none.

        Under TCG with several CPUs that need not be the kernel's fault. Linux patches its code through a breakpoint
        (arch/x86/kernel/alternative.c, smp_text_poke_batch_finish). QEMU first drops what it has translated of a page
        and then writes (accel/tcg/cputlb.c, notdirty_write): a CPU that translates in between keeps the breakpoint.
        On a loaded host that was one boot in fifty.
        """
        return self.headline.startswith("Oops: int3:")

    def __init__(self, splat_kind: str, headline: str, records: Iterable[Record], *, log: Path | None = None) -> None:
        self.records = tuple(records)
        self.splat_kind = splat_kind
        self.headline = demangle_text(headline)
        self.trace = frames.trace(self.records)
        self.place = frames.place(self.records)
        self.killed = min((kinds.death(record.text) for record in self.records), key=DEATHS.index, default="")
        self._located = False
        self._told = False
        super().__init__(
            self._sentence(),
            "the lines below are the kernel's own; the topmost frame of your module is the place to look first"
            if not self.stray_breakpoint
            else "emulated CPUs can run a breakpoint of the kernel's own patching: run it again; with cpus=1 none can",
            detail=readable(self.records, {}),
            log=log,
        )

    @property
    def told(self) -> bool:
        """Whether it was raised, or handed to somebody who asked for complaints."""
        return self._told or self.__traceback__ is not None

    @told.setter
    def told(self, value: bool) -> None:
        self._told = value

    def locate(self, sources: Sources) -> None:
        """Look up, once, where in their modules' sources its frames lie; they and the message then say so."""
        if self._located:
            return
        self._located = True
        exact = ((frame, False) for text in self.lines if (frame := frames.place_of(text)))
        returns = ((frame, True) for text in self.lines if (frame := frames.frame_of(text)))
        # All of them, not the trace's alone: lockdep shows who took the other lock, KASAN who freed.
        known = sources.locate([*exact, *returns])
        if not known:
            return
        self.place = known.get(self.place, self.place) if self.place else None
        self.trace = tuple(known.get(frame, frame) for frame in self.trace)
        self.cause = self._sentence()
        self.args = (self.cause,)
        self.detail = readable(self.records, known)

    def _sentence(self) -> str:
        culprit = self.culprit
        begin = f"{culprit.where} — " if culprit and culprit.where else ""
        where = f" in {culprit.symbol}" if culprit else ""
        module = f" [{culprit.module}]" if culprit and culprit.module else ""
        return f"{begin}the kernel complained ({self.splat_kind}): {self.headline}{where}{module}"

    @property
    def fatal(self) -> bool:
        """Whether the kernel killed a task or itself over it."""
        return bool(self.killed)

    @property
    def culprit(self) -> StackFrame | None:
        """The place to look first: the innermost function of a module's author, else of a module, else of all."""
        return frames.culprit([self.place, *self.trace])

    @property
    def lines(self) -> list[str]:
        """The texts of its records, as the kernel printed them."""
        return [record.text for record in self.records]


class SplatCutter:
    """Cuts splats out of a stream of records. Feed it every record in order; `flush` at the end."""

    def __init__(self, log: Path | None = None) -> None:
        self._log = log
        self._records: list[Record] = []
        self._kind: str | None = None
        self._headline = ""
        self._ended = False
        self._dying = False

    @property
    def open(self) -> bool:
        """Whether a splat has begun and not ended."""
        return bool(self._records)

    @property
    def headline(self) -> tuple[str, str] | None:
        """Kind and headline of the splat that has begun, once they are known."""
        return (self._kind, self._headline) if self._kind and self._records else None

    @property
    def dying(self) -> bool:
        """Whether the splat that has begun shows, by now, that the kernel killed a task or itself."""
        return self._dying

    def feed(self, record: Record) -> list[Splat]:
        """Take in a record; returns the splats that are complete because of it."""
        if record.time is None:
            # Programs may write to the console in between.
            return []
        done: list[Splat] = []
        if self._records and not self._continues(record):
            done += self.flush()
        if self._records:
            self._add(record)
        elif record.text == kinds.CUT_HERE or classify(record.text):
            self._ended = False
            self._add(record)
        return done

    def _continues(self, record: Record) -> bool:
        last = self._records[-1].time
        if len(self._records) >= MAX_LINES or record.time is None or last is None or record.time - last > GAP:
            return False
        if record.text == kinds.CUT_HERE:
            return self._preamble
        if self._kind in kinds.PREFIX:
            return bool(kinds.PREFIX[self._kind].match(record.text))
        if self._ended:
            return bool(kinds.BELONGS.match(record.text))
        if self._kind in kinds.SINGLE and len(self._records) == 1:
            return bool(kinds.BELONGS.match(record.text)) or classify(record.text) is not None
        return True

    @property
    def _preamble(self) -> bool:
        """Whether only a few words came that a BUG or WARNING proper may follow: a Rust panic's, a list check's."""
        if self._ended or len(self._records) > PREAMBLE:
            return False
        return not any(r.text == kinds.CUT_HERE or r.text.startswith("Call Trace") for r in self._records)

    def _add(self, record: Record) -> None:
        self._records.append(record)
        self._dying = self._dying or bool(kinds.death(record.text))
        if self._kind is None and (kind := classify(record.text)):
            self._kind, self._headline = kind, record.text
        closing_rule = kinds.RULE.match(record.text) and len(self._records) > 3
        trace_end = record.text.strip() == kinds.TRACE_END and self._kind not in kinds.RULED
        if kinds.END.match(record.text) or trace_end or closing_rule:
            self._ended = True

    def flush(self) -> list[Splat]:
        """What has begun is complete now."""
        records, kind = self._records, self._kind
        self._records, self._kind, self._dying = [], None, False
        if not records:
            return []
        return [Splat(kind or "warning", self._headline if kind else records[-1].text, records, log=self._log)]
