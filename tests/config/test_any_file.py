"""Whatever stands in the file, settings come of it or an error of ours that names the file, a line of it, and no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.config import ConfigError, load
from thalweg.config.groups import Named, Several, Short, Table
from thalweg.config.kinds import ANY_TEXT, HEADER, TEXT, TEXTS, WORDS, FilePath
from thalweg.config.table import FILE

SECRET = "sk-s3cret-s3cret"
LEAVES = st.one_of(
    st.sampled_from(["true", "1", "0", "-1", "2.5", "nan", "inf", "1e400", "1" + "0" * 400, "1979-05-27", "07:32:00"]),
    st.sampled_from(
        ["''", "'cancel'", "'linger 5s'", "'drain 9 tokens 9 tokens'", "'ark/x'", "'a'", "'b'", "'/'", "'~x'"]
    ),
    st.sampled_from(["'env:X'", "'env:'", "'file:'", "'file:/'"]),
    st.sampled_from(["'http://h'", "'http://[::1'", "'openai-chat'", "'gemini'", "'USD'"]),
)
SECRETS = st.sampled_from([f"'{SECRET}'", f'"{SECRET}\\u0001"', f"'http://u:{SECRET}@h'", f"'http://h?k={SECRET}'"])
FREE = (TEXT, ANY_TEXT, TEXTS, WORDS, HEADER)
"""What takes any text, and shows it."""
NAMES = st.sampled_from(["ark", "ark-responses", "openai", "sim", "relay", "a", "b", "ark/x", "x y", "", "é"])


def of(kind: Any) -> st.SearchStrategy[str]:
    """What may stand where such a thing is wanted: mostly the like of it."""
    if isinstance(kind, Table):
        right = st.lists(st.sampled_from(kind.rows), unique_by=lambda row: row.name, max_size=4).flatmap(
            lambda rows: st.tuples(
                *(of(row.kind).map(lambda value, name=row.name: f"{name} = {value}") for row in rows)
            )
        )
        return st.one_of(right.map(lambda pairs: "{" + ", ".join(pairs) + "}"), LEAVES)
    if isinstance(kind, Named):
        return st.dictionaries(NAMES, of(kind.kind), max_size=3).map(
            lambda found: "{" + ", ".join(f'"{name}" = {value}' for name, value in found.items()) + "}"
        )
    if isinstance(kind, Several):
        return st.lists(of(kind.kind), max_size=3).map(lambda found: "[\n" + ",\n".join(found) + "]")
    if isinstance(kind, Short):
        return st.one_of(of(kind.kind), LEAVES, st.lists(LEAVES, max_size=2).map(lambda found: f"[{', '.join(found)}]"))
    return LEAVES if isinstance(kind, FilePath) or kind in FREE else st.one_of(LEAVES, SECRETS)


SECTIONS = st.tuples(
    *(st.one_of(st.just(""), of(row.kind).map(lambda value, name=row.name: f"{name} = {value}")) for row in FILE.rows)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(SECTIONS)
def test_any_file_makes_settings_or_says_where_it_is_wrong(tmp_path: Path, sections: tuple[str, ...]) -> None:
    text = "\n".join(sections)
    (tmp_path / "thalweg.toml").write_text(text, encoding="utf-8")
    try:
        made = load({"THALWEG_HOME": "/x"}, folder=tmp_path)
    except ConfigError as error:
        assert SECRET not in str(error)
        for problem in getattr(error, "problems", ()):
            assert re.match(r".*thalweg\.toml:\d+: ", str(problem)), problem
            assert 1 <= problem.line <= text.count("\n") + 1
    else:
        assert SECRET not in repr(made)


@pytest.mark.parametrize("kind", [Table, Named, Several, Short])
def test_every_kind_of_group_is_in_the_file(kind: type) -> None:
    found: list[Any] = [FILE]
    for each in found:
        found += (
            [row.kind for row in each.rows] if isinstance(each, Table) else [each.kind] if hasattr(each, "kind") else []
        )
    assert any(isinstance(each, kind) for each in found)
