"""Where keys stand in a TOML text: one table of texts, each with the line of every way."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.config.positions import Path, lines_of

TEXTS: dict[str, tuple[str, dict[Path, int]]] = {
    "nothing": ("", {}),
    "comments and blanks": ("# a = 1\n\n  # b\n", {}),
    "a pair": ("a = 1", {("a",): 1}),
    "after a comment": ("# x\n\n  a = 1 # b = 2\nc=2", {("a",): 3, ("c",): 4}),
    "quoted keys": ('"a b" = 1\n\'c"d\' = 2\n"\\u0041" = 3', {("a b",): 1, ('c"d',): 2, ("A",): 3}),
    "dots": ("a . b.\"c\" = 1\na.d = 2", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "d"): 2}),
    "tables": ("[a]\nx = 1\n[a.b]\ny = 2\n[ c . d ]", {("a",): 1, ("a", "x"): 2, ("a", "b"): 3, ("a", "b", "y"): 4, ("c",): 5, ("c", "d"): 5}),
    "strings that look like more": (
        'a = "x # y [b]\\" = 1"\nb = \'c = 1\'\nd = """\n[e]\nf = "" \\"" = 1\n"""\ng = \'\'\'\n[h]\n\'\'\'\ni = """"quoted""""\nj = 2',
        {("a",): 1, ("b",): 2, ("d",): 3, ("g",): 7, ("i",): 10, ("j",): 11},
    ),
    "lists": (
        "a = [1, # one\n  [2,\n 3], \n  {b = 4}, ]\nc = []",
        {("a",): 1, ("a", 0): 1, ("a", 1): 2, ("a", 1, 0): 2, ("a", 1, 1): 3, ("a", 2): 4, ("a", 2, "b"): 4, ("c",): 5},
    ),
    "an inline table": ("a = { b.c = 1, d = [ {} ] }\ne = {}", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "d"): 1, ("a", "d", 0): 1, ("e",): 2}),
    "lists of tables": (
        "[[a]]\nb = 1\n[a.c]\nd = 1\n[[a]]\nb = 2\n[[a.e]]\nf = 1\n[[a.e]]",
        {
            ("a",): 1, ("a", 0): 1, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 0, "c", "d"): 4,
            ("a", 1): 5, ("a", 1, "b"): 6, ("a", 1, "e"): 7, ("a", 1, "e", 0): 7, ("a", 1, "e", 0, "f"): 8, ("a", 1, "e", 1): 9,
        },
    ),
    "dates, floats and words": ("a = 1979-05-27 07:32:00\nb = -1e5\nc = true\nd = inf", {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), TEXTS.values(), ids=TEXTS)
def test_every_way_has_its_line(text: str, lines: dict[Path, int]) -> None:
    tomllib.loads(text)
    assert lines_of(text) == lines


KEYS = st.text("ab-_ .\"'\\#=[]{}é\t", max_size=4)
LEAVES = st.one_of(st.integers(), st.booleans(), st.text("a\"'\\#=[]{},\n é", max_size=6))
TREES = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)),
    max_size=4,
)


def quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(name)} = {written(each)}" for name, each in value.items()) + "}"
    return str(value)


def ways(value: Any, way: Path = ()) -> set[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {each for name, inner in items for each in ({(*way, name)} | ways(inner, (*way, name)))}


@given(TREES)
def test_every_way_of_any_tree_is_found(tree: dict[str, Any]) -> None:
    text = "\n".join(f"{quoted(name)} = {written(value)}" for name, value in tree.items())
    assert tomllib.loads(text) == tree
    lines = lines_of(text)
    assert lines.keys() == ways(tree)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
