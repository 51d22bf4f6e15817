"""Drives a gateway or an application through the cases of `thalweg fault run`, and says of each what held.

The client's side is the decoders of the package, over HTTP. Nothing here prints.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import httpx2
import msgspec

from thalweg.canon.events import Event, ResponseEnded
from thalweg.canon.fold import fold
from thalweg.canon.parts import Text, ToolCall
from thalweg.canon.response import Response
from thalweg.canon.usage import Usage
from thalweg.cli.connection import Gateway, Unreachable, why_not
from thalweg.cli.fault_cases import Case, Dialect, End
from thalweg.client.codecs import BodyReader, dialect

AT_ONCE = 8
Check = Literal["no_false_end", "prefix", "no_hang", "right_error", "one_usage"]
CHECKS: tuple[Check, ...] = ("no_false_end", "prefix", "no_hang", "right_error", "one_usage")
_BASES: Mapping[Dialect, str] = {"openai-chat": "/v1", "openai-responses": "/v1", "anthropic": "", "gemini": "/v1beta"}
"""Where each dialect lies, unless the address that is given has a path."""


class Heard(NamedTuple):
    """What came of one request."""

    end: End | Literal["cut", "hang", "unreachable"]
    """`cut`: the connection broke, without a word. `unreachable`: there was none."""
    answer: Response | None = None
    status: int = 0
    headers: Mapping[str, str] = {}
    error_said: bool = False
    """Whether an error has the form of its dialect."""
    why: str = ""

    @property
    def text(self) -> str:
        """The text of the first choice."""
        parts = self.answer.choices[0].parts if self.answer and self.answer.choices else ()
        return "".join(part.text for part in parts if isinstance(part, Text))

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Its calls, by name and arguments."""
        parts = self.answer.choices[0].parts if self.answer and self.answer.choices else ()
        return [(part.name, _plain(part.arguments)) for part in parts if isinstance(part, ToolCall)]

    @property
    def tokens(self) -> tuple[int | None, int | None]:
        """Read and made, as the answer says."""
        usage = (self.answer.usage if self.answer else None) or Usage()
        return usage.input_tokens, usage.output_tokens


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What held in one case. `None` where there was nothing to hold."""

    case: Case
    held: dict[Check, bool | None]
    why: str = ""
    """What did not, in a few words."""


class NotASimulator(Exception):
    """An answer without any fault did not come as the simulator says it."""


class Drive:
    """One run. `patience_s` is how long a case may take."""

    def __init__(self, gateway: Gateway, *, patience_s: float) -> None:
        self._gateway = gateway
        self._patience_s = patience_s
        self._sound: dict[tuple[Dialect, bool, bool], Heard] = {}

    async def run(self, cases: list[Case], *, ended: Callable[[Verdict], None]) -> list[Verdict]:
        """Every case, some at once; each is told when it has ended. Raises `NotASimulator` and `Unreachable`."""
        gate = asyncio.Semaphore(AT_ONCE)
        async with self._gateway.client() as client:
            for case in {(case.dialect, case.stream, case.calls): case for case in cases}.values():
                await self._hear_sound(client, case.sound)

            async def one(case: Case) -> Verdict:
                async with gate:
                    heard = await self._hear(client, case)
                verdict = judge(case, heard, self._sound[case.dialect, case.stream, case.calls])
                ended(verdict)
                return verdict

            return list(await asyncio.gather(*map(one, cases)))

    async def _hear_sound(self, client: httpx2.AsyncClient, case: Case) -> None:
        heard = await self._hear(client, case)
        if heard.end == "unreachable":
            raise Unreachable(self._gateway.url, heard.why)
        if heard.end != "complete" or not (heard.text or heard.calls):
            raise NotASimulator(f"{case.model} ({case.dialect}): {heard.why or heard.end} {heard.status or ''}".strip())
        self._sound[case.dialect, case.stream, case.calls] = heard

    async def _hear(self, client: httpx2.AsyncClient, case: Case) -> Heard:
        spoken = dialect(case.dialect)
        base = urlsplit(self._gateway.url)
        path = base.path.rstrip("/") or _BASES[case.dialect]
        target = spoken.request_target(path.encode(), case.model, stream=case.stream).decode()
        headers = {"content-type": "application/json"}
        headers |= {name.decode(): value.decode() for name, value in spoken.request_headers(stream=case.stream)}
        if case.dialect == "anthropic" and self._gateway.api_key:
            headers["x-api-key"] = self._gateway.api_key
        url = f"{base.scheme}://{base.netloc}{target}"
        ear = _Ear(case)
        try:
            async with (
                asyncio.timeout(self._patience_s),
                client.stream("POST", url, content=case.body, headers=headers) as answer,
            ):
                ear.began(answer)
                async for data in answer.aiter_raw():
                    ear.heard(data)
        except TimeoutError:
            return ear.broke("hang", f"nothing for {self._patience_s:g} s")
        except httpx2.HTTPError as error:
            return ear.broke("cut" if ear.status else "unreachable", why_not(error))
        return ear.ended()


class _Ear:
    """Hears one answer."""

    def __init__(self, case: Case) -> None:
        self.status = 0
        self._case = case
        self._reader = BodyReader(dialect(case.dialect))
        self._events: list[Event] = []
        self._body: list[bytes] = []
        self._headers: Mapping[str, str] = {}

    def began(self, answer: httpx2.Response) -> None:
        """The head is there."""
        self.status, self._headers = answer.status_code, answer.headers

    def heard(self, data: bytes) -> None:
        """Some of the body."""
        self._body.append(data)
        if self.status == 200:
            self._events += self._reader.feed(data)

    def broke(self, end: Literal["cut", "hang", "unreachable"], why: str) -> Heard:
        """It will not end by itself."""
        answer = fold(self._events) if self._events else None
        return Heard(end, answer, self.status, self._headers, why=why)

    def ended(self) -> Heard:
        """The body has ended."""
        body = b"".join(self._body)
        if self.status != 200:
            said = _is_error(self._case.dialect, _tree(body))
            return Heard("status", None, self.status, self._headers, said, f"status {self.status}")
        self._events += self._reader.end()
        complete = bool(self._events) and isinstance(self._events[-1], ResponseEnded)
        answer = self._reader.answer or fold(self._events)
        if complete:
            return Heard("complete", answer, 200, self._headers)
        said = any(_is_error(self._case.dialect, tree) for tree in _said(body))
        return Heard("error", answer, 200, self._headers, said, "" if said else "it just ended")


def judge(case: Case, heard: Heard, sound: Heard) -> Verdict:
    """What held."""
    why: list[str] = []
    complete = heard.end == "complete"
    grown = sound.text.startswith(heard.text) and [name for name, _ in sound.calls][: len(heard.calls)] == [
        name for name, _ in heard.calls
    ]
    whole = heard.text == sound.text and (heard.calls == sound.calls or not case.same)
    honest = not complete or (whole and "complete" in case.may)
    if not honest:
        why.append("it ends like a whole answer")
    if not grown:
        why.append("it says what the sound answer does not")
    if heard.end == "hang":
        why.append(heard.why)
    held: dict[Check, bool | None] = {
        "no_false_end": honest,
        "prefix": grown,
        "no_hang": heard.end != "hang",
        "right_error": _right_error(case, heard, why),
        "one_usage": _one_usage(case, heard, sound, why) if complete else None,
    }
    return Verdict(case=case, held=held, why="; ".join(why))


def _right_error(case: Case, heard: Heard, why: list[str]) -> bool | None:
    if heard.end == "complete":
        return None
    if heard.end in ("hang", "cut", "unreachable"):
        why.append(f"no error is said: {heard.why}" if heard.end != "hang" else "no error is said")
        return False
    if heard.end not in case.may:
        why.append(f"an error where there should be none: {heard.why}" if case.may == {"complete"} else heard.why)
        return False
    if not heard.error_said:
        why.append(f"the error is none of {case.dialect}: {heard.why}")
        return False
    if heard.end == "status" and not case.takes(heard.status):
        why.append(f"not the right status: {heard.status}")
        return False
    if case.fault.endswith("-retry-after") and "retry-after" not in heard.headers:
        why.append("Retry-After is lost")
        return False
    return True


def _one_usage(case: Case, heard: Heard, sound: Heard, why: list[str]) -> bool:
    """The tokens are those of the sound answer, once; where the fault is in them, they are none that cannot be."""
    if case.fault in ("usage-missing", "usage-early", "usage-shrinking", "no-done") or case.fault.startswith("args-"):
        return all(tokens is None or tokens >= 0 for tokens in heard.tokens)
    if heard.tokens != sound.tokens and case.may == {"complete"}:
        why.append(f"tokens {heard.tokens} and not {sound.tokens}")
        return False
    return True


def _said(body: bytes) -> list[Any]:
    """What each line of a stream has, as far as it is JSON."""
    lines = body.replace(b"\r", b"\n").split(b"\n")
    return [_tree(line.partition(b":")[2]) for line in lines if line.startswith(b"data:")] or [_tree(body)]


def _tree(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body.strip())
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_error(spoken: Dialect, tree: Any) -> bool:
    if not isinstance(tree, dict):
        return False
    if spoken == "openai-responses" and tree.get("type") == "error":
        return isinstance(tree.get("message"), str)
    error = tree.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return False
    if spoken == "anthropic":
        return tree.get("type") == "error" and isinstance(error.get("type"), str)
    if spoken == "gemini":
        return type(error.get("code")) is int and isinstance(error.get("status"), str)
    return "type" in error


def _plain(arguments: str) -> str:
    """The same arguments in the same words."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments
