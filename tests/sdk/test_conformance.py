"""Real SDKs judge every pair of dialects: what `make conformance` asks, a test for each judge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.page import PAGE
from tests.conformance.table import ROWS, UPSTREAMS, Absent, JudgeRow
from tests.conformance.trial import Session, Verdict
from tests.live.gateway import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_MARKS = {"node": pytest.mark.node, "go": pytest.mark.go, "java": pytest.mark.java}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Gateway(tmp_path_factory.mktemp("home"), arguments=["--simulate"]) as gateway:
        yield Session(gateway.url, gateway.key)


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=_MARKS.get(row.home, pytest.mark.sdk)) for row in ROWS]
)
def test_a_judge_has_nothing_to_say(row: JudgeRow, session: Session) -> None:
    try:
        row.command()
    except Absent as absent:
        pytest.skip(str(absent))
    trial = session.try_judge(row.name)
    assert trial.absent == ""
    assert {verdict.client for verdict in trial.verdicts} == {client.name for client in row.clients}
    assert {verdict.upstream for verdict in trial.verdicts} >= set(UPSTREAMS)
    failed = [verdict for verdict in trial.verdicts if not verdict.passed]
    assert not failed, "\n".join(map(_told, failed))


def _told(verdict: Verdict) -> str:
    pair = f"{verdict.client} at {verdict.upstream or 'any'}, {verdict.way}"
    return f"{verdict.feature}: {verdict.case} ({pair}): {verdict.why}"


def test_the_page_names_every_judge_and_every_upstream() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [row.title for row in ROWS if row.title not in text] == []
    assert [title for title in UPSTREAMS.values() if title not in text] == []
