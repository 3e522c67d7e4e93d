# SPDX-License-Identifier: MIT
"""Messages of gcc, clang and modpost about the C API, and the names and types in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

UNDECLARED = re.compile(
    r"(?:implicit declaration of|incompatible implicit declaration of built-in|call to undeclared(?: library)?)"
    r" function '(?P<function>\w+)'|'(?P<undeclared>\w+)' undeclared|unknown type name '(?P<type>\w+)'"
    r"|use of undeclared identifier '(?P<identifier>\w+)'|in declaration of '(?P<declared>\w+)'"
)
UNDEFINED = re.compile(r"""^ERROR: modpost: (?:"(?P<old>\w+)" \[.*\]|\S+: symbol '(?P<new>\w+)') undefined!""")
INCOMPLETE = re.compile(r"incomplete|undefined type|storage size of|never completed")
TAGGED = re.compile(r"\b(?:struct|union|enum) \w+")
SYNTAX = re.compile(
    r"error: (?:expected |data definition has no type|type defaults to|type specifier missing|parameter names"
    r"|a parameter list without types|unknown type name|unterminated|stray |cannot combine with previous"
    r"|function cannot return|a type specifier is required|a function declaration without a prototype"
    r"|(?:return )?type of .* defaults|initializer element is not|'\w+' declared as function returning"
    r"|'\w+' undeclared here|use of undeclared identifier|invalid storage class|redefinition of|illegal initializer)"
)
NO_HEADER = re.compile(r"fatal error: '?(?P<header>[^'\s:]+)'?(?:: No such file or directory| file not found)")
NO_MEMBER = re.compile(
    r"has no member named '(?P<gcc>\w+)'|no member named '(?P<clang>\w+)' in|field designator '(?P<field>\w+)'"
    r"|unknown field '(?P<unknown>\w+)' specified in initializer|request for member '(?P<request>\w+)' in something not"
    r"|member reference base type .* is not a structure or union"
)
OPAQUE = re.compile(r"(?:invalid use of undefined|incomplete definition of) type '(?:const )?struct (?P<struct>\w+)'")
READ_ONLY = re.compile(
    r"(?:assignment|increment|decrement) of (?:member .* in )?read-only|read-only variable is not assignable"
    r"|cannot assign to (?:non-static data member|variable) .* with const-qualified type"
)
COUNT = re.compile(
    r"too (?:many|few) arguments to (?:function|method)"
    r"|too (?:many|few) arguments provided to function-like macro invocation"
    r'|macro "\w+" (?:passed \d+ arguments?, but takes|requires (?:at least )?\d+ arguments?, but only)'
)
ARGUMENT = re.compile(
    r"passing argument \d+ of|incompatible type for argument|passing '[^']*'(?: \(aka '[^']*'\))? to parameter of"
)
"""Clang says `incompatible pointer types passing 'A' to parameter of type 'B'`."""
VALUE = re.compile(
    r"invalid operands to binary|incompatible types? (?:when|for argument)|wrong type argument to"
    r"|where scalar is required"
    r"|where an? (?:integer|floating|pointer).* expected|switch quantity not an integer|invalid initializer"
    r"|is a pointer; did you mean|invalid type argument of|is not a pointer; did you mean"
    r"|not a structure or union"
    r"|conversion to non-scalar|makes (?:integer from pointer|pointer from integer)|between pointer and integer"
    r"|subscripted value|array type|from incompatible (?:pointer )?type|expression of incompatible type"
    r"|to parameter of (?:incompatible )?type|requires expression of (?:scalar|integer) type|incompatible pointer types"
    r"|where arithmetic or pointer type is required|incompatible (?:result type|pointer to integer|integer to pointer)"
    r"|cannot (?:increment|decrement) value of type|invalid argument type '|operand of type '|lvalue required"
    r"|not assignable"
)
EXPECTED = re.compile(
    r"note: expected '(?P<gcc>[^']+)'(?: \{aka [^}]*\})? but argument is of type '(?P<is>[^']+)'"
    r"|passing '(?P<given>[^']+)'(?: \(aka '[^']*'\))? to parameter of (?:incompatible )?type '(?P<wanted>[^']+)'"
)
VOID = re.compile(
    r"void value not ignored as it ought to be|invalid use of void expression|incompatible type 'void'"
    r"|expression of incompatible type 'void'|\('void'|\bargument type 'void'|returning 'void'|'void' invalid"
    r"|operand of type 'void'|incomplete type 'void'|not contextually convertible"
)
POINTER = re.compile(
    r"(?:initialization of|assignment to) '(?P<gcc>[^']+)'(?P<aka> \{aka [^}]*\})?.* from incompatible pointer type"
    r"|incompatible (?:function )?pointer types (?:initializing|assigning to) '(?P<clang>[^']+)'"
    r"(?P<also> \(aka [^']*'[^']*'\))?"
)
GIVEN = re.compile(r"(?:expression of type|from(?: incompatible pointer type)?) '([^']+)'")
IN_MACRO = re.compile(r"note: (?:in (?:expansion|definition) of|expanded from) macro '(\w+)'")
NOPROF = "_noprof"
"""End of the inner names of functions that allocate."""
NEAR = re.compile(r"near initialization for '(?:[^']*[^'\w])?(\w+)(?:\[\d+\])?'")
DESIGNATED = re.compile(r"(?:\.|->)\s*(\w+)\s*=(?!=)")
SOURCE_LINE = re.compile(r"^ *\d+ \| (.*)$", re.MULTILINE)
QUOTED = re.compile(r"'([^']+)'")
QUOTES = str.maketrans("‘’`“”", "'''\"\"")


def normal(error: str) -> str:
    """Return an error with plain quotes, and const pointers to functions written as others are."""
    return error.translate(QUOTES).replace("(*const)", "(*)").replace("(* const)", "(*)")


@lru_cache(maxsize=8)
def undeclared(head: str) -> str:
    """Return the undeclared name in an error's first line; empty for other errors."""
    match = UNDECLARED.search(head.translate(QUOTES))
    return next(filter(None, match.groups()), "") if match else ""


@lru_cache(maxsize=8)
def gone_header(head: str) -> str:
    """Return the missing header in an error's first line; empty for other errors."""
    match = NO_HEADER.search(head.translate(QUOTES))
    return match["header"].strip('"') if match else ""


def gone_member(head: str) -> tuple[str, str]:
    """Return the struct (without `struct`) and the missing member in an error's first line; empty texts for other
    errors."""
    head = head.translate(QUOTES)
    match = NO_MEMBER.search(head)
    name = next(filter(None, match.groups()), "") if match else ""
    return next((t for t in quoted_types(head) if t != name), ""), name


@dataclass(frozen=True)
class WrongFunction:
    """A function given where one of another type is wanted.

    Attributes:
        wanted, given: types of pointers to functions, as the compiler writes them.
        member: member of a struct that takes the function; empty if the compiler names none.
    """

    wanted: str
    given: str
    member: str


@lru_cache(maxsize=8)
def wrong_function(error: str) -> WrongFunction | None:
    """Return the function of an error about pointers to functions of different types; None for other errors."""
    error = normal(error)
    head, _, _ = error.partition("\n")
    match = POINTER.search(head)
    wanted = (match["gcc"] or match["clang"]) if match else ""
    given = GIVEN.search(head)
    if "(*)" not in wanted or given is None:
        return None
    members = [*DESIGNATED.findall(source_line(error)), *NEAR.findall(error)]
    # Clang names the function's own type.
    pointer = given[1] if "(*)" in given[1] else given[1].replace(" (", " (*)(", 1)
    return WrongFunction(wanted, pointer, members[0] if members else "")


def incomplete(error: str) -> str:
    """Return the struct (without `struct`) whose members an error needs and the compiler does not know; empty for other
    errors."""
    error = normal(error)
    head, _, _ = error.partition("\n")
    opaque = OPAQUE.search(head)
    if opaque:
        return opaque["struct"]
    if not INCOMPLETE.search(head):
        return ""
    tags = re.findall(r"struct (\w+)", f"{head}\n{source_line(error)}")
    return tags[0] if tags else ""


def called(error: str) -> list[str]:
    """Return the functions and macros that an error about a call names."""
    error = normal(error)
    head, _, _ = error.partition("\n")
    named = re.findall(r"""(?:function|macro|argument \d+ of) ['"](\w+)['"]""", head)
    return [*named, *re.findall(r"note: (?:macro )?['\"](\w+)['\"] (?:declared|defined) here", error)]


def wrong_argument(error: str) -> tuple[str, str] | None:
    """Return the type that a function takes and the one of the argument that it is given; None for other errors."""
    match = EXPECTED.search(normal(error))
    if match:
        return match["gcc"] or match["wanted"], match["is"] or match["given"]
    return None


@lru_cache(maxsize=8)
def source_line(error: str) -> str:
    """Return the module's line that an error points to; empty if the compiler does not show it."""
    match = SOURCE_LINE.search(error)
    if match:
        return match[1]
    lines = error.splitlines()
    return lines[1] if len(lines) > 2 and lines[2].strip().startswith(("^", "~")) else ""


@lru_cache(maxsize=64)
def words_of(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(re.findall(r"\w+", text))


@lru_cache(maxsize=8)
def names_called(line: str) -> frozenset[str]:
    """Return the names before an opening bracket."""
    return frozenset(re.findall(r"\b(\w+)\s*\(", line))


@lru_cache(maxsize=8)
def names_of_members(line: str) -> frozenset[str]:
    """Return the names behind a dot or an arrow."""
    return frozenset(re.findall(r"(?:\.|->)\s*(\w+)", line))


def quoted_types(head: str) -> list[str]:
    """Return the quoted types in a line, without qualifiers, `struct` and stars."""
    unwanted = r"\b(?:const|volatile|struct|union)\b|\*|\[\d*\]"
    plain = (re.sub(unwanted, "", quoted).strip() for quoted in QUOTED.findall(head))
    return [name for name in plain if re.fullmatch(r"\w+", name)]


@lru_cache(maxsize=8)
def undefined_symbol(head: str) -> str:
    """Return the symbol that modpost calls undefined in an error's first line; empty for other errors."""
    match = UNDEFINED.search(head)
    return (match["old"] or match["new"]) if match else ""
