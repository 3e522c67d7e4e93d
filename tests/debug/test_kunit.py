# SPDX-License-Identifier: MIT
"""KUnit suites in Rust and in C, out of the kernel's tree, as subtests of one test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.vm
RUST = """\
// SPDX-License-Identifier: GPL-2.0-only
//! A ring and its tests.
use kernel::prelude::*;

module! {
    type: Ring,
    name: "suites",
    authors: ["r4l"],
    description: "A module with a KUnit suite",
    license: "GPL",
}

struct Ring;

impl kernel::Module for Ring {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Ring)
    }
}

fn next(index: usize) -> usize {
    (index + 1) % 4
}

#[kunit_tests(ring)]
mod tests {
    use super::*;

    #[test]
    fn grows() {
        assert_eq!(next(1), 2);
    }

    #[test]
    fn wraps() {
        assert_eq!(next(3), WRAPPED);
    }
}
"""
C = """\
// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/test.h>
#include <linux/module.h>

static void adds(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 1 + 1, SUM);
}

static struct kunit_case cases[] = { KUNIT_CASE(adds), {} };
static struct kunit_suite suite = { .name = "sums", .test_cases = cases };
kunit_test_suites(&suite);
MODULE_DESCRIPTION("A module with a KUnit suite");
MODULE_LICENSE("GPL");
"""


@pytest.mark.parametrize(
    ("name", "text", "good", "bad", "case"),
    [
        ("suites.rs", RUST, ("WRAPPED", "0"), ("WRAPPED", "4"), "ring.wraps"),
        ("suites.c", C, ("SUM", "2"), ("SUM", "3"), "sums.adds"),
    ],
    ids=["rust", "c"],
)
def test_suites_of_a_module(
    tmp_path: Path, name: str, text: str, good: tuple[str, str], bad: tuple[str, str], case: str
) -> None:
    (tmp_path / "Kbuild").write_text("obj-m := suites.o\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text("def test_suites(kunit, module):\n    kunit(module)\n")
    argv = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--kernel", "debug"]
    for change, verdict in ((good, "SUBPASSED"), (bad, "SUBFAILED")):
        (tmp_path / name).write_text(text.replace(*change))
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert f"{verdict}[{case}]" in done.stdout, done.stdout
