"""The rules that undo what a page did to the code on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.sdk.mending import comments_ended, fields_named, frames_parted, indented, statements_broken, unescaped

IN_PYTHON, IN_JAVASCRIPT = partial(comments_ended, mark="#"), partial(comments_ended, mark="//")
CASES = [
    pytest.param(unescaped, "curl \\\\\n -d \\`x\\` \\n", "curl \\\n -d `x` \\n", id="from a template literal"),
    pytest.param(IN_PYTHON, "f( x, # 数 y=1 )", "f( x, # 数\ny=1 )", id="a comment before an argument"),
    pytest.param(IN_PYTHON, "f( x # 60 秒 )", "f( x # 60 秒\n)", id="a comment before a bracket"),
    pytest.param(
        IN_PYTHON,
        "f() # 用 with 语句 with a.b() as c: d() # 末",
        "f() # 用 with 语句\nwith a.b() as c: d() # 末",
        id="a comment with a word of the language in it",
    ),
    pytest.param(
        IN_JAVASCRIPT,
        "a(); // 设 SSE 头 b.c(); // 每 5ms 次 if (!d) { e }",
        "a(); // 设 SSE 头\nb.c(); // 每 5ms 次\nif (!d) { e }",
        id="comments of JavaScript",
    ),
    pytest.param(IN_JAVASCRIPT, "a('https://b'); c", "a('https://b'); c", id="an address is no comment"),
    pytest.param(
        statements_broken,
        "import a from b import c, d e = d( f=[1], g={'h': 2} ) print(e)",
        "import a\nfrom b import c, d\ne = d( f=[1], g={'h': 2} )\nprint(e)",
        id="statements",
    ),
    pytest.param(
        statements_broken,
        "async def a(): b = await c() async for d in b: if d: break",
        "async def a():\nb = await c()\nasync for d in b:\nif d:\nbreak",
        id="heads of blocks",
    ),
    pytest.param(
        statements_broken,
        "try: with a() as b: c(b) # 完\nexcept D as e: print(f'{e.x}: {e}')",
        "try:\nwith a() as b:\nc(b) # 完\nexcept D as e:\nprint(f'{e.x}: {e}')",
        id="what is broken already stays",
    ),
    pytest.param(
        partial(indented, back={}),
        "try:\nfor a in b(\n1,\n):\nc(\":\")\nexcept D:\ne()",
        "try:\n    for a in b(\n        1,\n    ):\n        c(\":\")\nexcept D:\n    e()",
        id="blocks and brackets",
    ),
    pytest.param(
        partial(indented, back={"d()": 1, "e()": 0}),
        "for a in b:\nif a:\nc()\nd()\ne()",
        "for a in b:\n    if a:\n        c()\n    d()\ne()",
        id="where a block ends",
    ),
    pytest.param(frames_parted, "data: {} data: {}\ndata: [DONE]", "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", id="events"),
    pytest.param(fields_named, '{"a":1}\n\n[DONE]', 'data: {"a":1}\n\ndata: [DONE]', id="fields"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "shown", "meant"), CASES)
def test_code_is_as_it_was_before_it_was_on_the_page(rule: Callable[[str], str], shown: str, meant: str) -> None:
    assert rule(shown) == meant
