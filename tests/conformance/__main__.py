"""Lets real SDKs judge the gateway, and writes docs/conformance.md: `make conformance`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from tests.conformance.page import PAGE, page
from tests.conformance.table import ROWS, UPSTREAMS
from tests.conformance.trial import Session, Trial
from tests.live.gateway import Gateway as Program

AT_ONCE = 2


def main() -> int:
    """Try every judge. The exit code is 1 where one of them has something to say, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--judge", action="append", help="only this one; the page is not written")
    parser.add_argument("--upstream", action="append", help="only this one; the page is not written")
    parser.add_argument("--failures", action="store_true", help="print only what failed")
    asked = parser.parse_args()
    rows = [row for row in ROWS if not asked.judge or row.name in asked.judge]
    upstreams = tuple(asked.upstream or UPSTREAMS)
    with (
        tempfile.TemporaryDirectory() as home,
        Program(Path(home), arguments=["--simulate"]) as program,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        session = Session(program.url, program.key)
        trials = list(pool.map(lambda row: _tried(session, row.name, upstreams, failures=asked.failures), rows))
    verdicts = [verdict for trial in trials for verdict in trial.verdicts]
    absent = {trial.judge: trial.absent for trial in trials if trial.absent}
    failed = sum(not verdict.passed for verdict in verdicts)
    print(f"{len(verdicts) - failed} as they should be, {failed} not; {len(absent)} judges absent", file=sys.stderr)
    if not (asked.judge or asked.upstream):
        PAGE.write_text(page(verdicts, {trial.judge: trial.versions for trial in trials}, absent), encoding="utf-8")
    return 1 if failed else 0


def _tried(session: Session, name: str, upstreams: tuple[str, ...], *, failures: bool) -> Trial:
    trial = session.try_judge(name, upstreams)
    if trial.absent:
        print(json.dumps({"judge": name, "absent": trial.absent}, ensure_ascii=False))
    for verdict in trial.verdicts:
        if not (failures and verdict.passed):
            print(json.dumps(asdict(verdict), ensure_ascii=False))
    print(
        f"{name}: {len(trial.verdicts)} verdicts, {sum(not one.passed for one in trial.verdicts)} failed",
        file=sys.stderr,
    )
    return trial


if __name__ == "__main__":
    raise SystemExit(main())
