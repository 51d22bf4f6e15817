"""Writes docs/conformance.md of all verdicts: the same verdicts, the same page, to the letter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.conformance.cases import CASES
from tests.conformance.table import DIALECTS, LACKS, ROWS, UPSTREAMS
from tests.conformance.trial import Verdict
from tests.live.gateway import ROOT

PAGE = ROOT / "docs" / "conformance.md"

_HEAD = """# Conformance

What real SDKs read through the gateway. `make conformance` starts it with `--simulate`, lets each judge of the last
table make every request of the first one, and writes this page; `make test` asks the same. A judge is an unmodified SDK
or framework in a process of its own. The simulator answers in the dialect of each upstream, and as a provider does it
refuses a talk whose signatures, thoughts or call ids come back changed or misplaced. With a seed it says the same in
every dialect, so that what a judge reads must be right to the letter.

Each cell says how many times something was asked and came as it should; 🔴 how many of them did not, with what was read
instead below. An empty cell: no judge has the feature, or the provider's dialect does not.
"""


def page(verdicts: Sequence[Verdict], versions: Mapping[str, Mapping[str, str]], absent: Mapping[str, str]) -> str:
    """The whole page. `versions` and `absent` are by the judges' names."""
    parts = [
        _HEAD,
        _pairs(verdicts),
        _alone(verdicts),
        _failures(verdicts, absent),
        _judges(verdicts, versions, absent),
    ]
    return "\n".join([*parts, _gaps()])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(verdicts: list[Verdict]) -> str:
    if not verdicts:
        return ""
    failed = sum(not verdict.passed for verdict in verdicts)
    return f"{len(verdicts)}" + (f", 🔴 {failed}" if failed else "")


def _features() -> list[str]:
    return list(dict.fromkeys(case.feature for case in CASES))


def _pairs(verdicts: Sequence[Verdict]) -> str:
    """Pair by feature, turned on its side: features down, pairs across, a table for each client's dialect."""
    cells: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        cells[verdict.dialect, verdict.upstream, verdict.feature].append(verdict)
    tables = []
    for dialect, title in DIALECTS.items():
        rows = [
            [feature, *(_cell(cells[dialect, upstream, feature]) for upstream in UPSTREAMS)]
            for feature in dict.fromkeys(case.feature for case in CASES if case.upstream)
        ]
        judges = sorted({verdict.judge for verdict in verdicts if verdict.dialect == dialect})
        tables.append(f"## {title} in front\n\nJudged by {', '.join(judges) or 'nobody'}.\n")
        tables.append(_table(["behind it", *UPSTREAMS.values()], rows))
    return "\n".join(tables)


def _alone(verdicts: Sequence[Verdict]) -> str:
    cells: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if not verdict.upstream:
            cells[verdict.feature, verdict.dialect].append(verdict)
    features = dict.fromkeys(case.feature for case in CASES if not case.upstream)
    rows = [[feature, *(_cell(cells[feature, dialect]) for dialect in DIALECTS)] for feature in features]
    return "## Whatever is behind it\n\n" + _table(["in front", *DIALECTS.values()], rows)


def _failures(verdicts: Sequence[Verdict], absent: Mapping[str, str]) -> str:
    found: dict[tuple[str, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if not verdict.passed:
            found[verdict.dialect, verdict.upstream, verdict.feature, verdict.case, verdict.judge].append(verdict)
    rows = [
        [
            f"{DIALECTS[dialect]} ← {UPSTREAMS.get(upstream, 'any')}",
            f"{feature}: {case}",
            f"{judge} ({', '.join(dict.fromkeys(one.way for one in failed))})",
            _shown(failed[0].why),
        ]
        for (dialect, upstream, feature, case, judge), failed in sorted(found.items())
    ]
    rows += [["", "", f"🔴 {name}", f"did not judge: {why}"] for name, why in sorted(absent.items())]
    text = "## What is red\n\n"
    return text + (_table(["pair", "what", "who says so", "what was read"], rows) if rows else "Nothing.\n")


def _shown(why: str) -> str:
    """A reason in a table's cell, without what differs from run to run."""
    line = " ".join(why.split()).replace("|", "\\|")
    return line if len(line) <= 200 else f"{line[:199]}…"


def _judges(verdicts: Sequence[Verdict], versions: Mapping[str, Mapping[str, str]], absent: Mapping[str, str]) -> str:
    asked: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        asked[verdict.judge].append(verdict)
    rows = []
    for row in ROWS:
        told = ", ".join(f"{name} {version}" for name, version in sorted(versions.get(row.name, {}).items()))
        dialects = ", ".join(dict.fromkeys(DIALECTS[client.dialect] for client in row.clients))
        ways = dict.fromkeys(way for client in row.clients for way in (*client.stream, *client.whole, *client.loop))
        judged = f"🔴 {absent[row.name]}" if row.name in absent else _cell(asked[row.name])
        rows.append([row.title, told, dialects, ", ".join(ways), judged])
    return "## The judges\n\n" + _table(["judge", "versions", "speaks", "asks by", "verdicts"], rows)


def _gaps() -> str:
    """What is not asked, and why."""
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, why in LACKS.items():
        rows["the provider", why].append(key)
    for row in ROWS:
        for client in row.clients:
            name = row.name if len(row.clients) == 1 else f"{row.name}, {client.name}"
            for key, why in client.lacks.items():
                rows[name, why].append(key)
            for way in client.forgets:
                rows[name, "what it reads so cannot be sent back as it was"].append(f"answers as they were by {way}")
            for way in client.keeps:
                rows[name, "it keeps the talk itself"].append(f"careless loops by {way}")
    text = "## What is not asked\n\nWhat a provider's dialect or an SDK itself does not have.\n\n"
    return text + _table(["who", "what", "why"], ([who, "; ".join(what), why] for (who, why), what in rows.items()))
