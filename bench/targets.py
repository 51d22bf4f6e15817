"""The rows of the bench. Another row is another `Target`: a way to start a server and a request to ask it."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace

from bench.bare import serve_bare
from bench.gateway import API_KEY, serve_gateway
from bench.load import Plan
from bench.nginx import serve_nginx
from bench.server import Server, Site
from bench.upstream import Script

PHASES = ("chunks", "short", "open")
"""What can be measured of a row."""
_PROMPT = "What is a thalweg, and why do borders follow it?"

DIRECT = "direct"
YARDSTICK = "nginx"
SUBJECT = "thalweg"


def chat_body(model: str) -> dict[str, object]:
    """Return a small chat request, without `stream_options`: a gateway that meters adds them itself."""
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a careful assistant. Answer in the language of the question."},
            {"role": "user", "content": _PROMPT},
        ],
        "temperature": 0.7,
        "stream": True,
    }


def responses_body(model: str) -> dict[str, object]:
    """Return the same for Responses."""
    return {"model": model, "input": _PROMPT, "stream": True}


def anthropic_body(model: str) -> dict[str, object]:
    """Return the same for Anthropic."""
    asked = {"role": "user", "content": _PROMPT}
    return {"model": model, "max_tokens": 4096, "messages": [asked], "stream": True}


def gemini_body(model: str) -> dict[str, object]:
    """Return the same for Gemini, whose model stands in the path."""
    return {"contents": [{"role": "user", "parts": [{"text": _PROMPT}]}]}


@dataclass(frozen=True, slots=True)
class Target:
    """One row: a server and how it is asked."""

    name: str
    start: Callable[[Site], AbstractContextManager[Server]]
    path: str = "/v1/chat/completions"
    """Where it is asked; `MODEL` stands for the model's name."""
    body: Callable[[str], Mapping[str, object]] = chat_body
    """Makes the request body from the model name."""
    model_prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    end_mark: str = "[DONE]"
    """What the last frame of a whole stream contains in this row's dialect."""
    phases: tuple[str, ...] = PHASES
    """What is measured of it."""

    def request(self, script: Script, port: int) -> str:
        """Return the HTTP request that asks for a script."""
        body = json.dumps(self.body(self.model_prefix + script.model))
        headers = {
            "host": f"127.0.0.1:{port}",
            "accept": "text/event-stream",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **self.headers,
        }
        path = self.path.replace("MODEL", self.model_prefix + script.model)
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", body]
        return "\r\n".join(lines)

    def plan(self, script: Script, port: int, *, streams: int, requests: int = 0, ramp_s: float = 0.0) -> Plan:
        """Return what the load process shall do; the timeout leaves 30 s beyond the scripted time."""
        scripted_s = script.chunks / script.rate if script.rate else 0.0
        return Plan(
            port=port,
            request=self.request(script, port),
            end_mark=self.end_mark,
            chunks=script.chunks,
            streams=streams,
            requests=requests,
            ramp_s=ramp_s,
            timeout_s=ramp_s + scripted_s + 30,
        )


@contextmanager
def _no_server(site: Site) -> Iterator[Server]:
    yield Server(site.upstream_port, (), 0.0)


def direct() -> Target:
    """Return the base line: the load generator asks the upstream itself."""
    return Target(DIRECT, _no_server)


def nginx() -> Target:
    """Return the yardstick."""
    return Target(YARDSTICK, serve_nginx)


def bare() -> Target:
    """Return the least that any gateway on our stack costs."""
    return Target("bare", serve_bare, phases=("chunks",))


def gateway(command: str, name: str = SUBJECT) -> Target:
    """Return Thalweg, or what else the command starts; OpenAI Chat on both sides: the bytes pass, the taps watch."""
    return Target(
        name,
        functools.partial(serve_gateway, command=command),
        model_prefix="openai/",
        headers={"authorization": f"Bearer {API_KEY}"},
    )


def metered(command: str, name: str = SUBJECT) -> Target:
    """Return the same with a provider that is asked for usage in every chunk, which is cut out of each again."""
    row = gateway(command, f"{name}, usage cut out")
    return replace(row, model_prefix="ark/", phases=("chunks",))


_FRONTS: dict[str, tuple[str, Callable[[str], Mapping[str, object]], str]] = {
    "chat": ("/v1/chat/completions", chat_body, "[DONE]"),
    "responses": ("/v1/responses", responses_body, "response.completed"),
    "anthropic": ("/v1/messages", anthropic_body, "message_stop"),
    "gemini": ("/v1beta/models/MODEL:streamGenerateContent?alt=sse", gemini_body, "finishReason"),
}
"""How each dialect's clients ask: path, body, and what ends their streams."""
_BACKS = {"chat": "deepseek/", "responses": "openai-responses/", "anthropic": "anthropic/", "gemini": "google/"}
"""A provider of each dialect; for Chat one that speaks no other, as OpenAI does."""


def pairs(command: str, name: str = SUBJECT) -> list[Target]:
    """Return a row for each pair of two dialects: the client's, then the upstream's. Chat to Chat is the row of
    `gateway`.
    """
    return [
        replace(
            gateway(command, f"{front} ← {back}" if name == SUBJECT else f"{name}, {front} ← {back}"),
            path=path,
            body=body,
            end_mark=end_mark,
            model_prefix=prefix,
            phases=("chunks",),
        )
        for front, (path, body, end_mark) in _FRONTS.items()
        for back, prefix in _BACKS.items()
        if (front, back) != ("chat", "chat")
    ]
