"""Holds one judge to all cases, and keeps a verdict of each."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.conformance.cases import AGENT_TOOLS, CASES, ERRAND, QUICK, Case, Failed
from tests.conformance.judge import Got, Judge, JudgeDied
from tests.conformance.table import LACKS, ROOT, ROWS, UPSTREAMS, Absent, Client, JudgeRow
from tests.live.gateway import clean_environment


@dataclass(frozen=True)
class Verdict:
    """What one judge says of one case."""

    judge: str
    client: str
    dialect: str
    upstream: str
    """The provider's name; empty where it makes no difference."""
    feature: str
    case: str
    way: str
    passed: bool
    why: str = ""


class Gateway:
    """Where to ask: an address and its key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self._said: dict[str, dict[str, Any]] = {}

    def yardstick(self, model: str, turns: tuple[dict[str, Any], ...], more: dict[str, Any]) -> dict[str, Any]:
        """What the simulator says in Chat, read without any SDK."""
        body: dict[str, Any] = {
            "model": f"sim-chat/{_knobs(model)}",
            "messages": [each for turn in turns for each in _messages(turn)],
        }
        if tools := more.get("tools"):
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t["name"], "description": t["description"], "parameters": t["schema"]},
                }
                for t in tools
            ]
        for field in ("max_tokens", "stop"):
            if field in more:
                body[field] = more[field]
        key = json.dumps(body, sort_keys=True)
        if key not in self._said:
            self._said[key] = _read_plain(self._post("/v1/chat/completions", body))
        return self._said[key]

    def errand(self) -> list[dict[str, Any]]:
        """What `agent` calls, step by step."""
        turns: list[dict[str, Any]] = [{"user": ERRAND}]
        said = {tool["name"]: tool["result"] for tool in AGENT_TOOLS}
        called: list[dict[str, Any]] = []
        while calls := self.yardstick("agent", tuple(turns), {"tools": AGENT_TOOLS})["calls"]:
            called += calls
            results = [{"id": call["id"], "text": said[call["name"]]} for call in calls]
            turns += [{"said": "", "calls": calls}, {"results": results}]
        return called

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        asked = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {self.key}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=30) as answer:
            said: dict[str, Any] = json.loads(answer.read())
        return said


def _messages(turn: dict[str, Any]) -> list[dict[str, Any]]:
    if "user" in turn:
        return [{"role": "user", "content": turn["user"]}]
    if "results" in turn:
        return [{"role": "tool", "tool_call_id": each["id"], "content": each["text"]} for each in turn["results"]]
    calls = [
        {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": json.dumps(c["arguments"])}}
        for c in turn["calls"]
    ]
    return [{"role": "assistant", "content": turn["said"] or None, "tool_calls": calls}]


def _read_plain(answer: dict[str, Any]) -> dict[str, Any]:
    (choice,) = answer["choices"]
    message = choice["message"]
    calls = [
        {"id": call["id"], "name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
        for call in message.get("tool_calls") or []
    ]
    usage = answer["usage"]
    return {
        "text": message.get("content") or "",
        "reasoning": message.get("reasoning_content") or "",
        "calls": calls,
        "input": usage["prompt_tokens"],
        "output": usage["completion_tokens"],
    }


def _knobs(model: str) -> str:
    return f"{model};{QUICK}"


class _Stand:
    """One client of a judge in one way at one upstream."""

    def __init__(self, gateway: Gateway, judge: Judge, client: Client, upstream: str, way: str) -> None:
        self.dialect = client.dialect
        self.upstream = upstream
        self.way = way
        self.forbids = way in client.forbids
        self._client = client
        self._gateway = gateway
        self._judge = judge

    def ask(self, model: str, *turns: dict[str, Any], **more: Any) -> Got:
        way = more.pop("way", self.way)
        name = f"{self.upstream or 'sim'}/{_knobs(model)}"
        return self._judge.ask(self._client.name, way, model=name, turns=list(turns), **more)

    def errand(self) -> list[dict[str, Any]]:
        return self._gateway.errand()

    def yardstick(self, model: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self._gateway.yardstick(model, turns, more)


def lacking(client: Client, case: Case, upstream: str) -> str | None:
    """Why this is not asked, where it is not."""
    for told in (client.lacks, LACKS):
        for place in (case.feature, case.name, f"{case.feature}, {case.name}"):
            for key in (place, f"{place} @ {upstream}", f"{place} @ {client.dialect} {upstream}"):
                if key in told:
                    return told[key]
    return None


def _ways(case: Case, client: Client) -> list[str]:
    kinds = {"stream": [client.stream], "whole": [client.whole], "loop": [client.loop]}
    kinds["both"] = kinds["stream"] + kinds["whole"]
    found = [way for kind in kinds[case.ways] for way in (kind if case.every else kind[:1])]
    left_out = (client.forgets if case.echoes else ()) + (client.keeps if case.rebuilds else ())
    return [way for way in found if way not in left_out]


@dataclass(frozen=True)
class Trial:
    """All that one judge says, or why it says nothing."""

    judge: str
    verdicts: list[Verdict]
    versions: dict[str, str]
    absent: str = ""


class Session:
    """A running gateway, and whoever is to judge it."""

    def __init__(self, url: str, key: str) -> None:
        self._gateway = Gateway(url, key)
        self._environment = clean_environment({"BASE_URL": url, "API_KEY": key})

    def try_judge(self, name: str, upstreams: tuple[str, ...] = tuple(UPSTREAMS)) -> Trial:
        """Start a judge and hold it to every case."""
        row = next(row for row in ROWS if row.name == name)
        try:
            judge = Judge(row.command(), self._environment, ROOT)
            judge.start()
        except Absent as absent:
            return Trial(name, [], {}, str(absent))
        except JudgeDied as died:
            return Trial(name, [], {}, f"it does not start: {died}")
        try:
            return Trial(name, list(_verdicts(row, judge, self._gateway, upstreams)), judge.versions)
        finally:
            judge.stop()


def _verdicts(row: JudgeRow, judge: Judge, gateway: Gateway, upstreams: tuple[str, ...]) -> Iterator[Verdict]:
    """Every case with every client of a judge. A judge that dies twice in a case fails it; it is started anew."""
    for client in row.clients:
        for case in CASES:
            for upstream in upstreams if case.upstream else ("",):
                if lacking(client, case, upstream):
                    continue
                for way in _ways(case, client):
                    stand = _Stand(gateway, judge, client, upstream, way)
                    why = _failure(case, stand)
                    yield Verdict(
                        row.name,
                        client.name,
                        client.dialect,
                        upstream,
                        case.feature,
                        case.name,
                        way,
                        why is None,
                        why or "",
                    )


def _failure(case: Case, stand: _Stand) -> str | None:
    try:
        try:
            case.run(stand)
        except JudgeDied:
            # One of some ten thousand calls of LiteLLM's never came: it hung before it asked. Who waits for an answer
            # that the gateway owes does so again.
            case.run(stand)
    except (Failed, JudgeDied) as failed:
        return str(failed)
    return None
