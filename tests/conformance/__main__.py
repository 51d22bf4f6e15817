"""Lets real SDKs judge the gateway, and writes docs/conformance.md: `make conformance`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.conformance.judge import Judge
from tests.conformance.table import ROWS, UPSTREAMS, Absent
from tests.conformance.trial import Gateway, try_judge
from tests.live.gateway import ROOT, clean_environment
from tests.live.gateway import Gateway as Program


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", action="append", help="only this one; the page is not written")
    parser.add_argument("--upstream", action="append", help="only this one; the page is not written")
    parser.add_argument("--failures", action="store_true", help="print only what failed")
    asked = parser.parse_args()
    rows = [row for row in ROWS if not asked.judge or row.name in asked.judge]
    upstreams = tuple(asked.upstream or UPSTREAMS)
    with (
        tempfile.TemporaryDirectory() as home,
        Program(Path(home), arguments=["--simulate"]) as program,
    ):
        gateway = Gateway(program.url, program.key)
        environment = clean_environment({"BASE_URL": program.url, "API_KEY": program.key})
        for row in rows:
            try:
                judge = Judge(row.command(), environment, ROOT)
                judge.start()
            except Absent as absent:
                print(json.dumps({"judge": row.name, "absent": str(absent)}), flush=True)
                continue
            print(row.name, judge.versions, file=sys.stderr)
            for verdict in try_judge(row, judge, gateway, upstreams):
                if not (asked.failures and verdict.passed):
                    print(json.dumps(asdict(verdict), ensure_ascii=False), flush=True)
            judge.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
