# SPDX-License-Identifier: MIT
"""Settings with comments: the limits of an edit."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from r4l.ide.jsonc import Document

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SETTINGS = st.dictionaries(st.text(), VALUES, max_size=4)

USERS = """{
  // my own, with a "comma",
  "editor.rulers": [100, 120,], /* ] } */
  "url": "https://example.org//x", // not a comment within
  "last": true, // stays
}
"""


def test_comments_and_trailing_commas_are_read() -> None:
    read = Document.parse(USERS).values
    assert read == {"editor.rulers": [100, 120], "url": "https://example.org//x", "last": True}


def test_what_is_not_edited_stays_to_the_letter() -> None:
    edited = Document.parse(USERS).edited({"editor.rulers": [80], "new": {"a": 1}})
    expected = USERS.replace("[100, 120,]", "[\n    80\n  ]").replace(
        "// stays\n", '// stays\n  "new": {\n    "a": 1\n  }\n'
    )
    assert edited == expected


def test_lines_end_as_they_did() -> None:
    edited = Document.parse('{\r\n\t"a": 1\r\n}\r\n').edited({"b": [2]})
    assert edited == '{\r\n\t"a": 1,\r\n\t"b": [\r\n\t\t2\r\n\t]\r\n}\r\n'


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize("text", ['{"a": ' + "[" * 100_000, "[" * 100_000, '{"a": ' * 100_000])
def test_brackets_without_end(text: str) -> None:
    with pytest.raises(ValueError, match="deeply"):
        Document.parse(text)


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", '{"a" 1}', '{"a": 1} x', "{'a': 1}", "{/* }", '{"a": "}'])
def test_no_object(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Document.parse(text)


def test_an_oddity_is_refused_rather_than_made_worse() -> None:
    with pytest.raises(ValueError, match=r".+"):
        Document.parse("{,}").edited({"a": 1})


@example({}, {"": {"\ufeff": None}}, None)
@given(SETTINGS, SETTINGS, st.sampled_from([None, 2, "\t"]))
def test_any_edit_of_any_settings(present: dict[str, object], changes: dict[str, object], indent: int | str) -> None:
    document = Document.parse(json.dumps(present, indent=indent))
    assert document.values == present
    assert Document.parse(document.edited(changes)).values == {**present, **changes}
