"""The recorded answers, for tests that go over all of them."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# Also known to conftest.py as the fixture `corpus_root`; here the names of the cases are the tests' ids.
ROOT = Path(os.environ.get("THALWEG_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpus")
BYTE_BY_BYTE = 4 * 1024
DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini", "dashscope-native")


@dataclass(frozen=True)
class Case:
    """One recorded answer."""

    dialect: str
    folder: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_bytes())

    @cached_property
    def body(self) -> bytes:
        (file,) = self.folder.glob("response.*")
        return file.read_bytes()

    def cuttings(self, draw: random.Random) -> Iterator[list[bytes]]:
        if len(self.body) <= BYTE_BY_BYTE:
            yield [self.body[i : i + 1] for i in range(len(self.body))]
        edges = sorted({0, len(self.body), *(draw.randrange(len(self.body)) for _ in range(9))})
        yield [self.body[a:b] for a, b in itertools.pairwise(edges)]


def streams() -> list[Case]:
    if not (ROOT / "index.json").is_file():
        return []
    found = [Case(dialect, path) for dialect in DIALECTS for path in sorted((ROOT / dialect).iterdir())]
    return [case for case in found if case.meta["kind"] == "stream" and case.meta.get("stream_format") != "json-array"]
