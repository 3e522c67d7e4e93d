# SPDX-License-Identifier: MIT
"""A minimal client of a language server, for queries.

Protocol: https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/; rust-analyzer's
extensions (`experimental/serverStatus`) are in its docs, lsp-extensions.md.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlparse

from r4l.errors import EnvironmentFault
from r4l.paths import require_text
from r4l.process import end_group
from r4l.threads import guarded

Message = dict[str, Any]

CAPABILITIES = {
    "experimental": {"serverStatusNotification": True},
    "textDocument": {
        "diagnostic": {},
        "publishDiagnostics": {},
        "semanticTokens": {"requests": {"full": True}, "formats": ["relative"], "tokenTypes": [], "tokenModifiers": []},
    },
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True},
}

ERROR = 1
"""Value of DiagnosticSeverity for errors."""

CHANGED_MEANWHILE = (-32801, -32802)
"""Error codes ContentModified and ServerCancelled: the request must be repeated."""


@dataclass(frozen=True)
class Diagnostic:
    """One diagnostic of a server.

    Attributes:
        line, last_line: counted from 1.
        severity: 1 error, 2 warning, 3 information, 4 hint.
    """

    file: Path
    line: int
    last_line: int
    severity: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.code}: {self.message}"


@dataclass(frozen=True)
class Unresolved:
    """A name that a server cannot find; `line` counts from 1, `column` from 0."""

    file: Path
    line: int
    column: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name} is not found"


class LanguageServer:
    """A running server; a context manager.

    Args:
        argv: the program and its arguments.
        folder: root of the workspace, in which the program is started, as editors do.
        options: the server's settings (`initializationOptions`).
        patience: seconds within which each answer must come.

    Raises:
        EnvironmentFault: from any method: the server died or does not answer.
    """

    def __init__(
        self, argv: Sequence[str], folder: Path, options: Message | None = None, *, patience: float = 600
    ) -> None:
        self.options = options or {}
        self.patience = patience
        self.capabilities: Message = {}
        self.published: dict[str, list[Message]] = {}
        self._quiescent = False
        self._number = 0
        self._answer: Message | None = None
        self._incoming: queue.Queue[Message | BaseException | None] = queue.Queue()
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=folder,
        )
        threading.Thread(target=guarded(self._read, self._incoming.put), daemon=True).start()
        parameters = {"processId": None, "rootUri": folder.as_uri(), "capabilities": CAPABILITIES}
        try:
            self.request("initialize", {**parameters, "initializationOptions": self.options})
            self._send({"method": "initialized", "params": {}})
        except BaseException:
            end_group(self._process)
            raise

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_group(self._process)

    def open(self, file: Path, language: str) -> None:
        """Open a file in the server, as an editor does."""
        document = {
            "uri": file.as_uri(),
            "languageId": language,
            "version": 1,
            "text": require_text(file, "replace"),
        }
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    def wait_until_quiet(self) -> None:
        """Wait until rust-analyzer has loaded everything."""
        self._until(lambda: self._quiescent, "did not finish loading")

    def definition(self, file: Path, needle: str, name: str) -> list[tuple[Path, int]]:
        """Return the file and line (from 1) of each definition of a name.

        Args:
            needle: text around the name's use; its first occurrence in the file counts.
            name: the name, contained in `needle`.

        Raises:
            ValueError: the file does not contain `needle`, or `needle` not `name`.
        """
        before, found, _ = require_text(file, "replace").partition(needle)
        if not found or name not in needle:
            raise ValueError(f"{file} has no {needle!r} with {name!r}")
        before += needle[: needle.index(name)]
        return self.definition_at(file, before.count("\n") + 1, len(before) - before.rfind("\n") - 1)

    def definition_at(self, file: Path, line: int, column: int) -> list[tuple[Path, int]]:
        """Return the definitions of the name at a line (from 1) and a column (from 0), like `definition`."""
        asked = {"textDocument": {"uri": file.as_uri()}, "position": {"line": line - 1, "character": column}}
        answer = self.request("textDocument/definition", asked) or []
        places = answer if isinstance(answer, list) else [answer]
        return [_place(place) for place in places]

    def diagnostics(self, file: Path) -> list[Diagnostic]:
        """Return the diagnostics of an open file: requested if the server supports that, otherwise as published."""
        uri = file.as_uri()
        if "diagnosticProvider" in self.capabilities:
            items = self.request("textDocument/diagnostic", {"textDocument": {"uri": uri}})["items"]
        else:
            self._until(lambda: uri in self.published, f"said nothing of {file.name}")
            items = self.published[uri]
        return [_diagnostic(file, item) for item in items]

    def unresolved(self, file: Path) -> list[Unresolved]:
        """Return the names in an open Rust file that rust-analyzer colours as unresolved."""
        legend = self.capabilities["semanticTokensProvider"]["legend"]["tokenTypes"]
        answer = self.request("textDocument/semanticTokens/full", {"textDocument": {"uri": file.as_uri()}})
        # The protocol knows no other line ends, as str.splitlines does.
        lines = require_text(file, "replace").split("\n")
        data = answer["data"]
        line = column = 0
        found = []
        for begin in range(0, len(data), 5):
            down, right, length, token_type, _modifiers = data[begin : begin + 5]
            line, column = line + down, (0 if down else column) + right
            if legend[token_type] == "unresolvedReference":
                found.append(Unresolved(file, line + 1, column, lines[line][column : column + length]))
        return found

    def request(self, method: str, parameters: Message | None) -> Any:
        """Send a request and return its result; repeat it if the server's data changed meanwhile.

        Raises:
            EnvironmentFault: the server answers with an error.
        """
        while True:
            self._number += 1
            self._send({"id": self._number, "method": method, "params": parameters})
            self._answer = None
            self._until(lambda: self._answer is not None, f"did not answer {method}")
            assert self._answer is not None
            error = self._answer.get("error")
            if not error:
                break
            if error["code"] not in CHANGED_MEANWHILE:
                raise EnvironmentFault(f"the language server refuses {method}: {error['message']}")
        result = self._answer.get("result")
        if method == "initialize":
            self.capabilities = result["capabilities"]
        return result

    def _until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + self.patience
        while not done():
            try:
                message = self._incoming.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise EnvironmentFault(f"the language server {what} in {self.patience:.0f} s") from None
            if isinstance(message, BaseException):
                raise EnvironmentFault(f"the language server cannot be understood: {message}") from message
            if message is None:
                raise EnvironmentFault(f"the language server ended with {self._process.wait()}")
            if "method" in message:
                self._take(message)
            elif message.get("id") == self._number:
                self._answer = message

    def _take(self, message: Message) -> None:
        """Handle a request or notification of the server."""
        parameters = message.get("params") or {}
        if "id" in message:
            wanted = parameters.get("items", []) if message["method"] == "workspace/configuration" else None
            self._send({"id": message["id"], "result": None if wanted is None else [self.options for _ in wanted]})
        elif message["method"] == "experimental/serverStatus":
            self._quiescent = parameters["quiescent"]
        elif message["method"] == "textDocument/publishDiagnostics":
            self.published[parameters["uri"]] = parameters["diagnostics"]

    def _send(self, message: Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EnvironmentFault(f"the language server ended with {self._process.wait()}") from None

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while (line := stream.readline()).strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            body = stream.read(length) if line else b""
            if not body:
                break
            self._incoming.put(json.loads(body))
        self._incoming.put(None)


def _place(answer: Message) -> tuple[Path, int]:
    """Return the file and line of a Location or a LocationLink."""
    uri = answer.get("uri") or answer["targetUri"]
    span = answer.get("range") or answer["targetSelectionRange"]
    return Path(unquote(urlparse(uri).path)), span["start"]["line"] + 1


def _diagnostic(file: Path, item: Message) -> Diagnostic:
    first, last = item["range"]["start"]["line"] + 1, item["range"]["end"]["line"] + 1
    return Diagnostic(file, first, last, item.get("severity", ERROR), str(item.get("code")), item["message"])
