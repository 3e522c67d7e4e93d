# SPDX-License-Identifier: MIT
"""Names in a kernel's headers, and names that resemble a missing one."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module.headers import Headers

FOO = """#ifndef FOO_H
#define FOO_H
/* foo_gone() was here. */
#define foo_timer_setup(t, f) \\
	__foo_timer_setup(t)
struct foo_device {
	const char *name;	/* not open; */
	int (*open_now)(struct foo_device *foo);
	unsigned int flags_new : 3;
	u8 addr[6];
};
enum foo_state {
	FOO_STATE_RUNNING,
};
typedef struct foo_device foo_device_t;
static inline void
foo_delete_sync(struct foo_device *foo)
{
	if (foo->open_now)
		foo_never_declared(foo);
}
extern int foo_register_device(struct foo_device *foo, const char *name);
struct foo_device *foo_find(const char *name);
#endif
"""


@pytest.fixture
def headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Headers:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    for name in ("include/linux/foo.h", "include/uapi/linux/foo.h", "arch/x86/include/asm/bar.h"):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(FOO if name == "include/linux/foo.h" else "#define __bar_only 1\n")
    return Headers(tmp_path / "source", "x86", "key")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("foo_timer_setup", 4),
        ("foo_device", 6),
        ("FOO_STATE_RUNNING", 13),
        ("foo_device_t", 15),
        ("foo_delete_sync", 17),
        ("foo_register_device", 22),
    ],
)
def test_definitions_are_found_with_their_lines(headers: Headers, name: str, line: int) -> None:
    found = headers.named(name)
    assert found is not None
    assert (found.file, found.line, found.include) == ("include/linux/foo.h", line, "linux/foo.h")


def test_words_of_comments_and_bodies_are_no_definitions(headers: Headers) -> None:
    assert headers.named("foo_gone") is None
    assert headers.named("foo_never_declared") is None


def test_names_that_resemble(headers: Headers) -> None:
    assert [found.name for found in headers.resembling("foo_sync_delete")] == ["foo_delete_sync"]
    assert [found.name for found in headers.resembling("foo_register_devices")] == ["foo_register_device"]
    assert [found.name for found in headers.resembling("foo_devices")] == ["foo_device", "foo_device_t"]
    assert [found.name for found in headers.resembling("foo_devices", function=True)] == ["foo_device_t"]
    assert headers.resembling("foo_unregister_device") == []
    assert headers.resembling("bar_register_devices") == []
    assert headers.resembling("mine_all_mine") == []
    assert headers.resembling("x") == []


def test_a_function_that_returns_a_struct_is_no_tag(headers: Headers) -> None:
    tags = {name: found for name in ("foo_device", "foo_state", "foo_find") if (found := headers.named(name))}
    assert [name for name, found in tags.items() if headers.is_tag(found)] == ["foo_device", "foo_state"]
    assert len(tags) == 3
    assert [found.name for found in headers.resembling("foo_find_it", function=True)] == ["foo_find"]


def test_a_header_that_moved_into_a_folder(headers: Headers, tmp_path: Path) -> None:
    for name in ("include/linux/foo/bar.h", "include/net/foo-bar.h", "include/other/foo_bar.h"):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text("#define some_name 1\n")
    assert headers.files("linux/foo_bar.h") == ["linux/foo/bar.h"]
    assert headers.files("asm/foo-bar.h") == ["net/foo-bar.h"]


def test_members_that_resemble(headers: Headers) -> None:
    seen = headers.members("foo_device", "open_new")
    assert seen is not None
    found, members = seen
    assert (found.line, members) == (6, ["open_now"])
    assert headers.members("other", "x") is None


def test_headers_elsewhere(headers: Headers) -> None:
    assert headers.files("asm/foo.h") == ["linux/foo.h"]
    assert headers.files("linux/fooo.h") == ["linux/foo.h"]
    assert headers.files("linux/nothing_like_it.h") == []


def test_the_index_is_made_once(headers: Headers) -> None:
    assert headers.named("foo_device")
    again = Headers(headers.source, "x86", "key")
    (headers.source / "include/linux/foo.h").unlink()
    assert again.named("foo_device")
