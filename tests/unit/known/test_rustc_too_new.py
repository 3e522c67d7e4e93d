# SPDX-License-Identifier: MIT
"""Messages of a rustc that is newer than the kernel; each is one that rustc prints for the kernel's own crates."""

from __future__ import annotations

import pytest

from r4l import known

FACTS = {"release": "6.12", "rustc": "rustc 1.78"}
REMOVED = "error[E0557]: feature has been removed\n  --> {place}:17:12\n   |\n17 | #![feature(receiver_trait)]\n"
STABLE = "the feature `new_uninit` has been stable since `1.82.0` and no longer requires an attribute to enable"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (REMOVED.format(place="/k/rust/kernel/lib.rs"), "feature has been removed"),
        (REMOVED.format(place="<crate attribute>"), "feature has been removed"),
        (f"error: {STABLE}\n  --> /k/rust/kernel/lib.rs:17:12\n", STABLE),
        ("error[E0635]: unknown feature `gone`\n --> <crate attribute>:1:9\n", "unknown feature `gone`"),
        ("error: unknown unstable option: `function-return`\n", "unknown unstable option: `function-return`"),
        ("error: unknown codegen option: `no-such`\n", "unknown codegen option: `no-such`"),
    ],
)
def test_the_kernels_own_flags_and_features(message: str, said: str) -> None:
    why = known.explain("build", message, FACTS)
    assert why
    assert why.name == "rustc-too-new"
    assert f"({said})" in why.cause


def test_a_feature_of_the_module_is_the_modules() -> None:
    why = known.explain("build", REMOVED.format(place="x.rs"), FACTS)
    assert why
    assert why.name == "unstable-feature"
    assert "#![feature(receiver_trait)]" in why.cause
