# SPDX-License-Identifier: MIT
"""Profiles, fragments and recipes of kernels from source."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.arch import architecture, architectures
from r4l.errors import UsageError
from r4l.kernel.kconfig import missed, parse_fragment, require_plain, require_types
from r4l.kernel.profile import profiles
from r4l.kernel.recipe import recipe


@pytest.mark.parametrize("arch", architectures())
@pytest.mark.parametrize("name", profiles())
def test_every_profile_is_made_of_fragments(name: str, arch: str) -> None:
    profile = profiles()[name]
    texts = profile.texts(arch)
    assert {file.split(".")[0] for file, _text in texts} == set(profile.fragments)
    for file, text in texts:
        assert parse_fragment(text, file)
    assert profile.seed is None or profile.seed in profiles()


def test_a_profile_asks_for_rust() -> None:
    for name in profiles():
        assert recipe(name, Path("/s"), "7.3").wanted()["CONFIG_RUST"] == "y"


def test_the_console_of_the_architecture_is_in_it() -> None:
    assert recipe("minimal", Path("/s"), "7.3").wanted()["CONFIG_PVH"] == "y"
    assert "CONFIG_SERIAL_AMBA_PL011_CONSOLE" in recipe("minimal", Path("/s"), "7.3", arch="arm64").wanted()


def test_fragment_values() -> None:
    text = '# a word\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D="text"\nCONFIG_E=0x10\n\n'
    wanted = {"CONFIG_A": "y", "CONFIG_B": "m", "CONFIG_C": "n", "CONFIG_D": "text", "CONFIG_E": "0x10"}
    assert parse_fragment(text, "f") == wanted


def test_a_line_that_is_no_configuration_is_named() -> None:
    with pytest.raises(UsageError, match=r"my.config, line 2 is not a configuration line: CONFIG_B"):
        parse_fragment("CONFIG_A=y\nCONFIG_B\n", "my.config")


@pytest.mark.parametrize(
    "value",
    [
        '"$(shell id)"',
        '"${X}"',
        '"a`id`"',
        '"$$"',
        "$(shell id)",
        '"a\rCONFIG_B=y"',
        '"a\x0bb"',
        '"a\x0cb"',
        '"a\x1eb"',
        '"a\x85b"',
        '"a\u2028b"',
        '"\x1b]0;x\x07"',
        '"\x00"',
    ],
)
@pytest.mark.parametrize("option", ["INITRAMFS_SOURCE", "LOCALVERSION", "SYSTEM_TRUSTED_KEYS", "E1000"])
def test_no_value_can_run_anything(option: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"f, line 2: CONFIG_{option} has '.*' in its value"):
        parse_fragment(f"CONFIG_A=y\nCONFIG_{option}={value}\n", "f")


def test_a_comment_may_say_anything() -> None:
    assert parse_fragment("# $(shell id) `id`\nCONFIG_A=y\n", "f") == {"CONFIG_A": "y"}


PLAIN = ["y", "m", "n", "0", "-1", "0x1F", '""', '"-camp"', '"Li Hua, 2"', '"ttyS0,115200 quiet=1"', "y ", '"a.b"']
NOT_PLAIN = [
    *('"/etc/shadow"', '"../x"', '".."', '"a; touch x"', '"a|b"', '"a&b"', '">x"', '"(x)"', '"\'"', '"a\\\\"', '"a#b"'),
    *(
        '"*"',
        '"~"',
        '"a\\tb"',
        '"{a,b}"',
        '"a" b',
        "text",
        "1 2",
        "",
        '"',
        '"a\n',
        "Y",
        "'a'",
        '"é"',
        '"!x"',
        '"[a]"',
        '"?"',
    ),
]


@pytest.mark.parametrize("value", PLAIN)
def test_a_stranger_sets_plain_values(value: str) -> None:
    require_plain(f"# fine\nCONFIG_A={value}\n", "f")


@pytest.mark.parametrize("value", NOT_PLAIN)
def test_and_no_others(value: str) -> None:
    with pytest.raises(UsageError, match=r"f, line 2"):
        require_plain(f"# fine\nCONFIG_A={value}\n", "f")


def test_a_long_value_of_a_stranger_is_looked_at_once() -> None:
    for piece in (".", "a", " ", '"'):
        with pytest.raises(UsageError):
            require_plain(f'CONFIG_A="{piece * 200_000}/\n', "f")


def test_what_the_kernels_program_did_not_take_is_named() -> None:
    config = 'CONFIG_A=y\nCONFIG_NR_CPUS=abc\nCONFIG_E1000="x"\nCONFIG_LOCALVERSION=y\n'
    said = (
        "  GEN     Makefile\n.config:2:warning: symbol value 'abc' invalid for NR_CPUS\n"
        ".config:3:warning: symbol value '\"x\"' invalid for E1000\n.config:4:warning: invalid string found\n"
        ".config:1:warning: override: reassigning to symbol A\n.config:99:warning: invalid string found\n"
    )
    with pytest.raises(UsageError, match='CONFIG_NR_CPUS=abc, CONFIG_E1000="x", CONFIG_LOCALVERSION=y') as refused:
        require_types(said, config, "my.config")
    assert refused.value.cause.startswith("my.config: ")
    assert "CONFIG_A" not in refused.value.cause
    require_types(".config:1:warning: override: reassigning to symbol A\n", config, "my.config")


def test_what_the_configuration_has_otherwise() -> None:
    config = {"CONFIG_A": "y", "CONFIG_B": "m"}
    assert missed({"CONFIG_A": "y", "CONFIG_B": "y", "CONFIG_C": "n", "CONFIG_D": "m"}, config) == {
        "CONFIG_B": "m",
        "CONFIG_D": "n",
    }


def test_later_fragments_win_and_are_part_of_the_key(tmp_path: Path) -> None:
    mine = tmp_path / "mine.config"
    mine.write_text("CONFIG_IPV6=n\n")
    changed = recipe("small", Path("/s"), "7.3", base="minimal", fragments=[mine]).wanted()
    assert changed["CONFIG_IPV6"] == "n"
    assert recipe("minimal", Path("/s"), "7.3").wanted()["CONFIG_IPV6"] == "y"


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n"])
def test_a_fragment_whose_last_line_has_no_end(tmp_path: Path, end: str) -> None:
    """Regression: the first option of the next fragment became a part of the last one's value."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(f"CONFIG_{name.upper()}=y{end}".encode())
    asked = recipe("small", Path("/s"), "7.3", base="minimal", fragments=[tmp_path / "a", tmp_path / "b"]).whole_text()
    assert {"CONFIG_A=y", "CONFIG_B=y"} <= set(asked.split("\n"))


@pytest.mark.parametrize(
    ("name", "base", "said"),
    [
        ("stock", "minimal", "not a valid kernel name"),
        ("A b", "minimal", "not a valid kernel name"),
        ("tiny", None, "unknown profile"),
    ],
)
def test_names_that_cannot_be(name: str, base: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recipe(name, Path("/s"), "7.3", base=base)


def test_a_fragment_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such fragment"):
        recipe("mine", Path("/s"), "7.3", base="minimal", fragments=[tmp_path / "none.config"])


def test_architectures_by_any_of_their_names() -> None:
    assert {architecture(name).name for name in ("arm64", "aarch64")} == {"arm64"}
    assert architecture("amd64").name == "x86_64"
