# SPDX-License-Identifier: MIT
"""Finding definitions in a kernel's Rust source, and the parameters of a signature."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.module import own_rust
from r4l.module.drift import apart, block
from r4l.module.rusttree import RustTree, generics, parameters, types_of

LIB = """\
pub mod net;
pub trait Module: Sized + Sync + Send {
    /// Called at the beginning.
    fn init(module: &'static ThisModule) -> Result<Self>;

    fn name(
        &self,
        flags: Flags,
    ) -> Result<
        (),
    >
    where
        Self: Sized,
    {
        todo!()
    }
}

trait Hidden {
    fn init();
}
pub use net::Napi as Other;
"""


@pytest.fixture
def tree(tmp_path: Path) -> RustTree:
    folder = tmp_path / "rust/kernel"
    (folder / "net").mkdir(parents=True)
    (folder / "lib.rs").write_text(LIB)
    (folder / "net/mod.rs").write_text(
        "pub struct Napi<T: Poll> {\n    inner: T,\n}\nimpl Napi {\n    pub fn on(&self) {}\n}\n"
    )
    return RustTree(tmp_path)


def test_trait_items(tree: RustTree) -> None:
    [init] = tree.trait_items("init", "Module")
    assert str(init) == "`fn init(module: &'static ThisModule) -> Result<Self>` (rust/kernel/lib.rs:4)"
    [name] = tree.trait_items("name")
    assert name.text == "fn name(&self, flags: Flags) -> Result< (), >"
    assert not tree.trait_items("exit", "Module")


def test_modules_names_types_and_functions(tree: RustTree) -> None:
    assert tree.module([]) == Path("rust/kernel/lib.rs")
    net = tree.module(["net"])
    assert net == Path("rust/kernel/net/mod.rs")
    assert tree.module(["chrdev"]) is None
    napi = tree.name_in(net, "Napi")
    assert napi is not None
    assert napi.text == "pub struct Napi<T: Poll>"
    assert tree.name_in(Path("rust/kernel/lib.rs"), "Other") is not None
    assert tree.name_in(net, "Nap") is None
    assert [definition.line for definition in tree.functions("on", [net])] == [5]
    assert [str(definition.file) for definition in tree.types("Napi")] == ["rust/kernel/net/mod.rs"]


@pytest.mark.parametrize(
    ("signature", "count"),
    [
        ("fn init() -> Result<Self>", 0),
        ("fn init(module: &'static ThisModule) -> Result<Self>", 1),
        ("pub fn new<T: Into<u8>, E>(x: Vec<T, A>, f: impl Fn(u8, u8) -> u8, (a, b): (u8, u8)) -> Result<Self, E>", 3),
        ("fn f(&self, table: [u8; 4],)", 2),
        ("pub trait Module: Sized", 0),
    ],
)
def test_parameters(signature: str, count: int) -> None:
    assert len(parameters(signature)) == count


def test_a_block_is_one_error() -> None:
    output = "error[E0050]: one\n --> a\n\nerror: two\n\nmake: *** three\n"
    assert block(output, 0) == "error[E0050]: one\n --> a\n\n"
    assert block(output, output.index("error: two")) == "error: two\n\n"


def test_generics() -> None:
    assert generics("pub struct Bar<'a, T: Into<Vec<u8, A>>, const SIZE: usize = 0>") == [
        "'a",
        "T: Into<Vec<u8, A>>",
        "const SIZE: usize = 0",
    ]
    assert generics("pub struct Plain") == []


def test_types_are_compared_without_names_paths_and_lifetimes() -> None:
    declared = "fn init(self, module: &'static ThisModule, name: &'static crate::str::CStr) -> Result<Self>"
    written = "fn(Self, &'static kernel::ThisModule, &'static kernel::str::CStr) -> core::result::Result<_, _>"
    assert types_of(declared) == types_of(written) == ["Self", "&ThisModule", "&CStr"]
    assert types_of(declared) != types_of(written.replace("CStr", "BStr"))


def test_one_error_about_several_imports_is_taken_apart() -> None:
    head = "error[E0432]: unresolved imports `kernel::a`, `kernel::a`, `kernel::b::C`, `std`"
    error = f"{head}\n --> m.rs:2:5\n  |\n2 | use a\n"
    assert apart(error) == [
        "error[E0432]: unresolved import `kernel::a`\n --> m.rs:2:5",
        "error[E0432]: unresolved import `kernel::b::C`\n --> m.rs:2:5",
        "error[E0432]: unresolved import `std`\n --> m.rs:2:5\n  |\n2 | use a\n",
    ]
    assert apart("error[E0432]: unresolved import `kernel::a`\n --> m.rs") == [
        "error[E0432]: unresolved import `kernel::a`\n --> m.rs"
    ]


MODULES = {
    "lib.rs": """\
#[cfg(CONFIG_USB = "y")]
pub mod usb;
pub mod irq;
mod inner;
pub use inner::Reached;
pub mod prelude;
""",
    "usb.rs": """\
pub struct Interface {
    pub id: u16,
    inner: u32,
    pub name: &'static CStr,
}
""",
    "irq.rs": "mod request;\npub use request::{\n    Handler,\n    Flags, //\n};\n",
    "irq/request.rs": """\
pub trait Handler {
    fn handle(
        &self,
        flags: u32,
    );
}
pub struct Hidden;
""",
    "inner.rs": "pub struct Reached;\n#[macro_export]\nmacro_rules! made {\n}\n",
    "prelude.rs": "pub use crate::{\n    irq::Handler, //\n};\n",
}


@pytest.fixture
def modules(tmp_path: Path) -> RustTree:
    for name, text in MODULES.items():
        file = tmp_path / "rust/kernel" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return RustTree(tmp_path)


def test_paths_by_which_modules_reach_a_name(modules: RustTree) -> None:
    assert modules.paths_of("Handler") == ["kernel::irq::Handler", "kernel::prelude::Handler"]
    assert modules.paths_of("Reached") == ["kernel::Reached"]
    assert modules.paths_of("made") == ["kernel::made"]
    assert modules.paths_of("irq") == ["kernel::irq"]
    assert modules.paths_of("Hidden") == modules.paths_of("request") == modules.paths_of("Gone") == []


def test_conditions_fields_and_signatures(modules: RustTree) -> None:
    assert modules.condition(["usb", "Interface"]) == 'CONFIG_USB = "y"'
    assert modules.condition(["irq", "Handler"]) == modules.condition([]) == ""
    [interface] = modules.types("Interface")
    assert modules.fields(interface) == ["id", "name"]
    request = Path("rust/kernel/irq/request.rs")
    assert [found.line for line in (2, 4, 5, 7) if (found := modules.enclosing(request, line))] == [2, 2, 2, 7]
    assert modules.enclosing(request, 99) is None


def test_a_crate_that_is_not_there_may_have_its_module_macro(tmp_path: Path) -> None:
    """make names files by the folder that the Makefile gave it, which need not be the module's."""
    (tmp_path / "here.rs").write_text("struct Mine;\n")
    assert not own_rust.has_module_macro("error\n  --> here.rs:1:1\n", tmp_path)
    assert own_rust.has_module_macro("error\n  --> elsewhere.rs:1:1\n", tmp_path)
