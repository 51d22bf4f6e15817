"""What is asked of every pair of dialects, and what every SDK must have read then.

A case is a function of a `Stand`: it asks through it and raises `Verdict` where what came is not right. The answers of
the simulator are known: with a seed it says the same in every dialect, so that what is read in one must be, to the
letter, what is read in another. The yardstick is what it says in Chat, read as plain JSON.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.conformance.judge import Got

QUICK = "ttft=0;pace=0;seed=1"
PROMPT = "浪花 🌊 é ñ 👩‍🚀 — what carries a boat?"
SCRIPTS = 'Здравствуй שלום नमस्ते 🏳️‍🌈 \u2028 \u0085 \\n "quoted" {"a": 1} </s> [DONE] data: x'
MARK = "7391"


class Failed(Exception):
    """What came is not what should have come."""


class Stand(Protocol):
    """Where a case asks: one judge's client, in one way, at one upstream."""

    dialect: str
    upstream: str
    way: str
    forbids: bool
    """Whether the client forbids arguments that no schema names."""

    def ask(self, model: str, *turns: dict[str, Any], **more: Any) -> Got:
        """One request at the model of this upstream, with its knobs."""

    def errand(self) -> list[dict[str, Any]]:
        """All calls of `agent`, from the first step to the last, by the yardstick."""

    def yardstick(self, model: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What the simulator says to it: `text`, `reasoning`, `calls`, `input`, `output`."""


Run = Callable[[Stand], None]


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    feature: str
    name: str
    run: Run
    ways: str
    """`stream`, `whole`, `both` or `loop`."""
    every: bool
    """Whether all of a client's ways of that kind are tried, or only the first of each."""
    upstream: bool = True
    """Whether it is another one at every upstream."""
    echoes: bool = False
    """Whether it gives an answer back as the SDK gave it."""
    rebuilds: bool = False
    """Whether it gives back what it has made of an answer itself."""


CASES: list[Case] = []


def case(
    feature: str,
    name: str,
    *,
    ways: str = "both",
    every: bool = False,
    upstream: bool = True,
    echoes: bool = False,
    rebuilds: bool = False,
) -> Callable[[Run], Run]:
    def add(run: Run) -> Run:
        CASES.append(Case(feature, name, run, ways, every, upstream, echoes, rebuilds))
        return run

    return add


def need(holds: object, why: str) -> None:
    if not holds:
        raise Failed(why)


def well(got: Got) -> Got:
    need(got.error is None, f"raised {got.error}")
    return got


def user(text: str, *images: str) -> dict[str, Any]:
    return {"user": text, "images": list(images)} if images else {"user": text}


def shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:40]}…{text[-15:]}")


def need_text(got: Got, wanted: str) -> None:
    if got.text != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got.text, wanted, strict=False)) if a != b), None)
        at = min(len(got.text), len(wanted)) if at is None else at
        raise Failed(f"the text is another one from character {at}: {shown(got.text[at:])}, not {shown(wanted[at:])}")


FINISHES = {
    "stop": {"stop", "end_turn", "STOP", "completed"},
    "tool_calls": {"tool_calls", "tool_use", "tool-calls", "tool_call"},
    "length": {"length", "max_tokens", "MAX_TOKENS", "incomplete: max_output_tokens"},
    "content_filter": {"content_filter", "refusal", "SAFETY", "content-filter", "incomplete: content_filter"},
    "stop_sequence": {"stop_sequence", "stop", "end_turn", "STOP", "completed"},
}
"""What the SDKs and frameworks call it."""


def need_finish(stand: Stand, got: Got, finish: str) -> None:
    wanted = FINISHES[finish]
    if finish == "tool_calls" and stand.dialect in ("gemini", "openai-responses"):
        wanted = wanted | FINISHES["stop"]
    need(got.finish is None or got.finish in wanted, f"the finish is {got.finish!r}, not {finish}")


@case("text, stream", "to the letter", ways="stream", every=True)
def text_stream(stand: Stand) -> None:
    got = well(stand.ask("text", user(PROMPT)))
    need_text(got, stand.yardstick("text", user(PROMPT))["text"])
    need(got.deltas >= 3, f"it came in {got.deltas} pieces")
    need_finish(stand, got, "stop")


@case("text, stream", "any script, and what looks like framing", ways="stream")
def scripts_stream(stand: Stand) -> None:
    got = well(stand.ask("text", user(SCRIPTS)))
    need_text(got, stand.yardstick("text", user(SCRIPTS))["text"])


@case("text, whole", "to the letter", ways="whole", every=True)
def text_whole(stand: Stand) -> None:
    got = well(stand.ask("text", user(PROMPT)))
    need_text(got, stand.yardstick("text", user(PROMPT))["text"])
    need_finish(stand, got, "stop")


@case("text, whole", "any script, and what looks like framing", ways="whole")
def scripts_whole(stand: Stand) -> None:
    got = well(stand.ask("text", user(SCRIPTS)))
    need_text(got, stand.yardstick("text", user(SCRIPTS))["text"])


@case("reasoning", "thoughts, then the answer", every=True)
def reasoning(stand: Stand) -> None:
    got = well(stand.ask("reasoning", user(PROMPT), thinking=True))
    said = stand.yardstick("reasoning", user(PROMPT), thinking=True)
    need(got.reasoning, "no thought was read")
    need_text(got, said["text"])
    need(got.reasoning.split() and said["reasoning"].startswith(got.reasoning[:20]), "the thoughts are others")


@case("signatures", "the next turn with the answer as it was", every=True, echoes=True)
def signature_echo(stand: Stand) -> None:
    first = well(stand.ask("reasoning", user(PROMPT), thinking=True))
    got = well(stand.ask("reasoning", user(PROMPT), {"echo": first.id}, user("And then?"), thinking=True))
    need("And then?" in got.text, f"the answer is {shown(got.text)}")


TWO_TOOLS = [
    {
        "name": "get_weather",
        "description": "Weather now in a city",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "city name"}},
            "required": ["city"],
        },
        "result": json.dumps({"reading": MARK, "sky": "晴"}, ensure_ascii=False),
    },
    {
        "name": "get_time",
        "description": "Local time in a zone",
        "schema": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
        "result": "12:30",
    },
]
NO_ARGUMENTS = [
    {
        "name": "list_boats",
        "description": "All boats in the harbour",
        "schema": {"type": "object", "properties": {}},
        "result": "none",
    }
]
NESTED = [
    {
        "name": "plan_trip",
        "description": "Plan a trip",
        "schema": {
            "type": "object",
            "properties": {
                "城市": {"type": "string", "enum": ["北京 🦆"]},
                "stops": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string", "enum": ['é "quoted"\n']},
                            "days": {"type": "integer"},
                        },
                        "required": ["name", "days"],
                    },
                },
            },
            "required": ["城市", "stops"],
        },
        "result": "planned",
    }
]


def need_same_calls(told: list[tuple[str, Any]], wanted: list[dict[str, Any]]) -> None:
    names = [name for name, _ in told]
    need(names == [call["name"] for call in wanted], f"the calls are {names}, not {[call['name'] for call in wanted]}")
    for (name, arguments), call in zip(told, wanted, strict=True):
        difference = _difference(arguments, call["arguments"])
        need(difference is None, f"the arguments of {name} differ: {difference}")


def _difference(told: Any, wanted: Any, path: str = "") -> str | None:
    """Where two values of JSON differ first."""
    if isinstance(told, dict) and isinstance(wanted, dict):
        if told.keys() != wanted.keys():
            return f"{path}: the keys {list(told)}, not {list(wanted)}"
        return next(filter(None, (_difference(told[key], wanted[key], f"{path}.{key}") for key in wanted)), None)
    if isinstance(told, list) and isinstance(wanted, list) and len(told) == len(wanted):
        each = (_difference(a, b, f"{path}[{at}]") for at, (a, b) in enumerate(zip(told, wanted, strict=True)))
        return next(filter(None, each), None)
    return (
        None
        if told == wanted and isinstance(told, bool) == isinstance(wanted, bool)
        else f"{path}: {told!r}, not {wanted!r}"
    )


def need_calls(stand: Stand, got: Got, wanted: list[dict[str, Any]]) -> None:
    need_same_calls([(call.name, call.arguments) for call in got.calls], wanted)
    need_ids(stand, [call.id for call in got.calls])
    need_finish(stand, got, "tool_calls")


def need_ids(stand: Stand, ids: list[str | None]) -> None:
    if stand.dialect == "gemini" and stand.upstream == "sim-gemini" and not any(ids):
        return  # Gemini's own calls have none, and this is what Gemini said
    need(all(ids) and len(set(ids)) == len(ids), f"the calls' ids are {ids}")


@case("tools", "two calls at once", every=True)
def parallel_calls(stand: Stand) -> None:
    asked = user("What is the weather in 北京, and what time is it in Tokyo?")
    got = well(stand.ask("tools", asked, tools=TWO_TOOLS))
    need_calls(stand, got, stand.yardstick("tools", asked, tools=TWO_TOOLS)["calls"])


@case("tools", "no arguments")
def no_arguments(stand: Stand) -> None:
    got = well(stand.ask("tools", user("Which boats are there?"), tools=NO_ARGUMENTS))
    need_calls(stand, got, [{"name": "list_boats", "arguments": {}}])


@case("tools", "nested arguments in any script")
def nested_arguments(stand: Stand) -> None:
    asked = user("Plan a trip.")
    got = well(stand.ask("tools", asked, tools=NESTED))
    wanted = stand.yardstick("tools", asked, tools=NESTED)["calls"]
    need(wanted[0]["arguments"]["城市"] == "北京 🦆", "the yardstick has other arguments")
    need_calls(stand, got, wanted)


@case("tools", "the results are read", echoes=True)
def results_are_read(stand: Stand) -> None:
    asked = user("What is the weather in 北京, and what time is it in Tokyo?")
    first = well(stand.ask("tools", asked, tools=TWO_TOOLS))
    got = well(stand.ask("tools", asked, {"echo": first.id}, results(first, TWO_TOOLS), tools=TWO_TOOLS))
    need(not got.calls, "it called again after the results")
    need(MARK in got.text and "12:30" in got.text, f"the results are not in {shown(got.text)}")


def results(got: Got, tools: list[dict[str, Any]]) -> dict[str, Any]:
    said = {tool["name"]: tool["result"] for tool in tools}
    return {"results": [{"id": call.id, "name": call.name, "text": said.get(call.name, "?")} for call in got.calls]}


def careless(got: Got) -> dict[str, Any]:
    """An answer as applications rebuild it: its text and its calls, nothing else."""
    calls = [
        {
            "id": call.id,
            "name": call.name,
            "arguments": json.dumps(call.arguments, ensure_ascii=False),
            "parsed": call.arguments,
        }
        for call in got.calls
    ]
    return {"said": got.text, "calls": calls}


AGENT_TOOLS = [
    {
        "name": "survey",
        "description": "Survey a river",
        "schema": {
            "type": "object",
            "properties": {
                "river": {"type": "string"},
                "bank": {"type": "string", "enum": ["左岸 🌊", "右岸 é"]},
                "gauges": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["river", "bank", "gauges"],
        },
        "result": json.dumps({"depth_m": 73.91, "says": '深 "quoted" 🐟'}, ensure_ascii=False),
        "mark": "73.91",
    },
    {
        "name": "list_boats",
        "description": "All boats in the harbour",
        "schema": {"type": "object", "properties": {}},
        "result": "three boats, 三条船",
        "mark": "三条船",
    },
]
ERRAND = "Survey the river and look after the boats."
_STEPS_AT_MOST = 6


_DETAILS = "détails 深泓"
"""An argument that no schema names, with what is easily spoiled on the way."""


def errand(stand: Stand) -> list[dict[str, Any]]:
    """What is called, from the first step to the last."""
    if not stand.forbids:
        return stand.errand()
    return [
        call | {"arguments": {name: value for name, value in call["arguments"].items() if name != _DETAILS}}
        for call in stand.errand()
    ]


def agent(stand: Stand, keep: Callable[[Got], dict[str, Any]], **more: Any) -> None:
    """A loop of three steps with calls: two at once, one without arguments, one with nested ones in many scripts."""
    turns: list[dict[str, Any]] = [user(ERRAND)]
    steps: list[Got] = []
    while True:
        got = well(stand.ask("agent", *turns, tools=AGENT_TOOLS, **more))
        if not got.calls:
            break
        steps.append(got)
        need(len(steps) < _STEPS_AT_MOST, f"it goes on after {len(steps)} steps")
        turns += [keep(got), results(got, AGENT_TOOLS)]
    need([len(step.calls) for step in steps] == [2, 1, 1], f"calls in each step: {[len(step.calls) for step in steps]}")
    told = [(call.name, call.arguments) for step in steps for call in step.calls]
    need_same_calls(told, errand(stand))
    need(told[2][1] == {} and (stand.forbids or _DETAILS in told[3][1]), "the errand is another one")
    need_ids(stand, [call.id for step in steps for call in step.calls])
    need_told(got)


@case("agent loop, answers as they were", "three steps, then all results", echoes=True)
def agent_echoes(stand: Stand) -> None:
    agent(stand, lambda got: {"echo": got.id})


@case("agent loop, answers as they were", "the same, thinking", every=True, echoes=True)
def agent_thinks(stand: Stand) -> None:
    agent(stand, lambda got: {"echo": got.id}, thinking=True)


@case("agent loop, careless", "three steps rebuilt from text and calls", rebuilds=True)
def agent_careless(stand: Stand) -> None:
    agent(stand, careless)


@case("agent loop, careless", "the same, thinking", rebuilds=True)
def agent_careless_thinks(stand: Stand) -> None:
    agent(stand, careless, thinking=True)


@case("agent loop, the SDK's own", "three steps, then all results", ways="loop", every=True)
def agent_own(stand: Stand) -> None:
    got = well(stand.ask("agent", user(ERRAND), tools=AGENT_TOOLS))
    # Frameworks run what was called at once in whatever order, and some make schemas of their own.
    told = sorted(json.dumps([name, sorted(arguments)]) for name, arguments in got.more["called"])
    wanted = sorted(json.dumps([call["name"], sorted(call["arguments"])]) for call in errand(stand))
    need(told == wanted, f"the calls are {told}, not {wanted}")
    need_told(got)


def need_told(got: Got) -> None:
    """Each tool was called twice, and each result was told, in whatever object the dialect has put it."""
    for tool in AGENT_TOOLS:
        told = got.text.count(tool["mark"])
        need(told == 2, f"the result of {tool['name']} was told {told} times, not twice, in {shown(got.text)}")


def png(width: int = 8, height: int = 8) -> str:
    """A red picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\xff\0\0" * width) * height
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


@case("images", "two, by their bytes")
def images(stand: Stand) -> None:
    got = well(stand.ask("vision", user("What is in the pictures?", png(), png(16, 9))))
    need("8 × 8" in got.text and "16 × 9" in got.text, f"the answer is {shown(got.text)}")


SCHEMA = {
    "type": "object",
    "properties": {
        "river": {"type": "string"},
        "side": {"type": "string", "enum": ["左岸", "右岸"]},
        "soundings": {
            "type": "array",
            "minItems": 2,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"depth_m": {"type": "number"}, "soft": {"type": "boolean"}},
                "required": ["depth_m", "soft"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["river", "side", "soundings"],
    "additionalProperties": False,
}


@case("structured output", "JSON of a schema")
def structured(stand: Stand) -> None:
    got = well(stand.ask("json", user("Sound the river."), schema=SCHEMA))
    try:
        said = json.loads(got.text)
    except ValueError:
        raise Failed(f"this is no JSON: {shown(got.text)}") from None
    need(
        isinstance(said, dict) and set(said) == {"river", "side", "soundings"},
        f"the keys are not the schema's: {said!r:.100}",
    )
    need(said["side"] in ("左岸", "右岸"), f"the side is {said['side']!r}")
    need(all(set(each) == {"depth_m", "soft"} for each in said["soundings"]), "the soundings are not the schema's")


@case("usage", "the simulator's own counts")
def usage(stand: Stand) -> None:
    got = well(stand.ask("text", user(PROMPT)))
    said = stand.yardstick("text", user(PROMPT))
    need(got.usage is not None, "no usage was read")
    assert got.usage is not None
    need(got.usage["output"] == said["output"], f"{got.usage['output']} output tokens, not {said['output']}")
    need(got.usage["input"] == said["input"], f"{got.usage['input']} input tokens, not {said['input']}")


@case("stop sequences", "the text ends before one")
def stop_sequences(stand: Stand) -> None:
    asked = user("one two HALT three")
    got = well(stand.ask("text", asked, stop=["HALT", "never said"]))
    need_text(got, stand.yardstick("text", asked, stop=["HALT", "never said"])["text"])
    need_finish(stand, got, "stop_sequence")


@case("length", "the text is cut, and says so")
def length(stand: Stand) -> None:
    got = stand.ask("text", user(PROMPT), max_tokens=8)
    # OpenAI's helper raises here by design.
    need(got.error is None or "LengthFinishReasonError" in got.error.kinds, f"raised {got.error}")
    need_text(got, stand.yardstick("text", user(PROMPT), max_tokens=8)["text"])
    need_finish(stand, got, "length")


@case("content filter", "the finish says so")
def content_filter(stand: Stand) -> None:
    got = stand.ask("filter", user(PROMPT))
    filtered = got.error is not None and "filter" in " ".join(got.error.kinds).lower()
    need(got.error is None or filtered, f"raised {got.error}")
    need_finish(stand, got, "content_filter")
    need(got.finish in FINISHES["content_filter"] or filtered, f"the finish is {got.finish!r}")


@case("errors before", "no such model")
def no_such_model(stand: Stand) -> None:
    refused(stand.ask("no-such-model", user(PROMPT)), 404)


@case("errors before", "too many requests")
def too_many(stand: Stand) -> None:
    refused(stand.ask("error-429", user(PROMPT)), 429)


@case("errors before", "overloaded")
def overloaded(stand: Stand) -> None:
    refused(stand.ask("error-503", user(PROMPT)), 503, 529)


@case("errors before", "the request is wrong")
def wrong_request(stand: Stand) -> None:
    refused(stand.ask("error-400", user(PROMPT)), 400)


def refused(got: Got, *statuses: int) -> None:
    need(got.error is not None, f"nothing was raised; the text is {shown(got.text)}")
    assert got.error is not None
    need(got.error.status in (None, *statuses), f"raised {got.error}, not {statuses[0]}")
    need(got.error.message.strip(), "the error says nothing")
    need(not got.text, f"before the error came {shown(got.text)}")


@case("errors within", "the text so far, then the error", ways="stream", every=True)
def error_within(stand: Stand) -> None:
    broke(stand.ask("error-midstream;at=6", user(PROMPT)), stand)


@case("cut streams", "a clean end too early is an error", ways="stream", every=True)
def clean_end(stand: Stand) -> None:
    broke(stand.ask("error-eof;at=6", user(PROMPT)), stand)


@case("cut streams", "a body that is cut is an error", ways="stream")
def cut_body(stand: Stand) -> None:
    broke(stand.ask("error-fin;at=6", user(PROMPT)), stand)


@case("cut streams", "of a whole answer: an error", ways="whole")
def cut_whole(stand: Stand) -> None:
    got = stand.ask("error-eof;at=6", user(PROMPT))
    need(got.error is not None, f"nothing was raised; the text is {shown(got.text)}")


def broke(got: Got, stand: Stand) -> None:
    need(got.error is not None, f"nothing was raised after {shown(got.text)}, finish {got.finish!r}")
    wanted = stand.yardstick("text", user(PROMPT))["text"]
    need(got.text and wanted.startswith(got.text), f"before the error came {shown(got.text)}")
    need(got.finish is None, f"it ended as {got.finish!r}")


@case("talks", "a second turn", echoes=True)
def second_turn(stand: Stand) -> None:
    first = well(stand.ask("text", user(PROMPT)))
    got = well(stand.ask("text", user(PROMPT), {"echo": first.id}, user("And the second question?")))
    need("And the second question?" in got.text, f"the answer is {shown(got.text)}")


@case("talks", "a system prompt")
def system_prompt(stand: Stand) -> None:
    got = well(stand.ask("text", user(PROMPT), system="You are brief. 要简短 🌊"))
    need_text(got, stand.yardstick("text", user(PROMPT), system="You are brief. 要简短 🌊")["text"])


@case("talks", "a second turn, rebuilt from its text", rebuilds=True)
def second_turn_rebuilt(stand: Stand) -> None:
    first = well(stand.ask("text", user(PROMPT)))
    got = well(stand.ask("text", user(PROMPT), careless(first), user("And the second question?")))
    need("And the second question?" in got.text, f"the answer is {shown(got.text)}")


@case("models", "the list has the simulator's", upstream=False, ways="whole")
def models_are_listed(stand: Stand) -> None:
    got = well(stand.ask("text", user(PROMPT), way="models"))
    need("sim/text" in got.more["models"], f"they are {got.more['models']!r:.200}")


@case("token counts", "as many as the answer's usage says", ways="whole")
def counted(stand: Stand) -> None:
    counted = well(stand.ask("text", user(PROMPT), way="count")).more["count"]
    said = stand.yardstick("text", user(PROMPT))["input"]
    need(counted == said, f"{counted} tokens were counted, not {said}")
