"""The judges: which SDKs there are, in which dialects and ways they ask, and what some of them cannot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JUDGES = Path(__file__).resolve().parent / "judges"

DIALECTS = {
    "openai-chat": "OpenAI Chat",
    "openai-responses": "OpenAI Responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
}
UPSTREAMS = {
    "sim-chat": "OpenAI Chat",
    "sim-responses": "OpenAI Responses",
    "sim-anthropic": "Anthropic",
    "sim-gemini": "Gemini",
    "sim-dashscope": "DashScope",
}
"""The simulator in each of the dialects that are spoken behind the gateway, by the provider that its names begin with."""


LACKS = {
    "content filter @ sim-dashscope": "DashScope has no such finish: it breaks off with an error",
    "agent loop, careless @ gemini sim-gemini": "Gemini itself refuses calls whose signatures are lost",
    "agent loop, careless, the same, thinking @ anthropic sim-anthropic": "Anthropic itself refuses calls whose thoughts "
    "are lost, while it thinks",
}
"""What an upstream's dialect itself does not have. A key is a feature, a case, or both with a comma between them; and
behind ` @ `, where it holds only there, an upstream, with a client's dialect before it where both must be so.
"""


class Absent(Exception):
    """A judge that is not to be had here, and why."""


@dataclass(frozen=True)
class Client:
    """One of a judge's clients. `ways` has the ways it asks in, of each kind; the first of a kind is its usual one."""

    name: str
    dialect: str
    stream: tuple[str, ...] = ("stream",)
    whole: tuple[str, ...] = ("whole",)
    loop: tuple[str, ...] = ()
    forgets: tuple[str, ...] = ()
    """Ways in which the SDK gives nothing that could be sent back as it was. LiteLLM puts words of its own between the
    thoughts and the calls of a stream."""
    keeps: tuple[str, ...] = ()
    """Ways in which the SDK keeps the talk itself."""
    forbids: tuple[str, ...] = ()
    """Ways in which it tells the model that no argument may be there that a schema does not name."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What the SDK itself does not have, each with what is so. The keys are as those of `LACKS`."""


@dataclass(frozen=True)
class JudgeRow:
    """One judge: where it lives, and its clients."""

    name: str
    title: str
    home: str
    """`sdk`, `clients`, `litellm`, `node`, `go` or `java`."""
    program: str
    """Its file there; in Java its class, behind the folder of its project where that is another one."""
    clients: tuple[Client, ...]

    def command(self) -> list[str]:
        """What starts it. Raises `Absent`."""
        return _COMMANDS[self.home](self.program)


def _python(home: str) -> list[str]:
    folder = ROOT / f".venv-{home}"
    if not (folder / ".requirements").is_file():
        raise Absent(f"not installed: `make {home}`")
    return [str(folder / "bin" / "python")]


def _in_python(home: str, program: str) -> list[str]:
    return [*_python(home), str(JUDGES / "python" / program)]


def _in_node(program: str) -> list[str]:
    if not (ROOT / "tests" / "node" / "node_modules" / ".package-lock.json").is_file():
        raise Absent("not installed: `make node`")
    return [_found("node"), str(ROOT / "tests" / "node" / "judges" / program)]


def _in_go(program: str) -> list[str]:
    built = JUDGES / "go" / "bin" / program
    if not built.is_file():
        raise Absent("not built: `make go`")
    return [str(built)]


def _in_java(program: str) -> list[str]:
    project, _, name = program.rpartition("/")
    target = JUDGES / "java" / project / "target"
    if not (target / ".built").is_file():
        raise Absent("not built: `make java`")
    return [_found("java"), "-cp", f"{(target / 'classpath').read_text()}:{target / 'classes'}", name]


def _found(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Absent(f"{name} is not installed")
    return found


_COMMANDS = {
    "sdk": lambda program: _in_python("sdk", program),
    "clients": lambda program: _in_python("clients", program),
    "litellm": lambda program: _in_python("litellm", program),
    "node": _in_node,
    "go": _in_go,
    "java": _in_java,
}

_NO_PROOFS = "it does not ask for encrypted thoughts, without which OpenAI takes back none that it has not stored"
_NO_THOUGHTS_BACK = "its types let no thoughts be given back"
_ARK = {"models": "the SDK lists none"}
_ARK_RESPONSES = _ARK | {
    "reasoning @ sim-responses": "it does not ask for a summary, as OpenAI wants it; Ark gives it unasked",
}
_ARK_ECHOES = _ARK_RESPONSES | {
    "signatures @ sim-responses": _NO_PROOFS,
    "agent loop, answers as they were @ sim-responses": _NO_PROOFS,
}
_NO_STOP = {"stop sequences": "the dialect has none"}
_FRAMEWORK = {"token counts": "the framework has none", "models": "the framework lists none"}
_LITELLM = {"structured output": "of a model that it does not know, it asks for JSON in words"}
_NO_COUNT = {"token counts": "the dialect has none"}

ROWS: tuple[JudgeRow, ...] = (
    JudgeRow(
        "openai-python",
        "OpenAI's SDK for Python",
        "sdk",
        "openai_judge.py",
        (
            Client(
                "openai-chat",
                "openai-chat",
                ("stream", "async stream", "helper"),
                ("whole", "async whole"),
                lacks=_NO_COUNT,
            ),
            Client(
                "openai-responses",
                "openai-responses",
                ("stream", "async stream", "helper"),
                ("whole", "async whole"),
                lacks=_NO_STOP | _NO_COUNT,
            ),
        ),
    ),
    JudgeRow(
        "ark-python",
        "Ark's SDK for Python",
        "sdk",
        "ark_judge.py",
        (
            Client(
                "openai-chat",
                "openai-chat",
                ("stream", "async stream"),
                ("whole", "async whole"),
                lacks=_NO_COUNT | _ARK,
            ),
            Client(
                "openai-responses",
                "openai-responses",
                ("stream", "async stream"),
                ("whole", "async whole"),
                lacks=_NO_STOP | _NO_COUNT | _ARK_ECHOES,
            ),
        ),
    ),
    JudgeRow(
        "anthropic-python",
        "Anthropic's SDK for Python",
        "sdk",
        "anthropic_judge.py",
        (
            Client(
                "anthropic",
                "anthropic",
                ("helper", "async helper", "stream"),
                ("whole", "async whole"),
                forgets=("stream",),
            ),
        ),
    ),
    JudgeRow(
        "genai-python",
        "Google's SDK for Python",
        "sdk",
        "genai_judge.py",
        (
            Client(
                "gemini",
                "gemini",
                ("stream", "async stream", "chat"),
                ("whole", "async whole"),
                ("own loop",),
                keeps=("chat",),
                forbids=("own loop",),
            ),
        ),
    ),
    JudgeRow(
        "openai-node",
        "OpenAI's SDK for Node",
        "node",
        "openai.mjs",
        (
            Client("openai-chat", "openai-chat", ("stream", "helper"), lacks=_NO_COUNT),
            Client("openai-responses", "openai-responses", ("stream", "helper"), lacks=_NO_STOP | _NO_COUNT),
        ),
    ),
    JudgeRow(
        "anthropic-node",
        "Anthropic's SDK for Node",
        "node",
        "anthropic.mjs",
        (Client("anthropic", "anthropic", ("helper", "stream"), forgets=("stream",)),),
    ),
    JudgeRow(
        "genai-node",
        "Google's SDK for Node",
        "node",
        "genai.mjs",
        (Client("gemini", "gemini", ("stream", "chat"), keeps=("chat",)),),
    ),
    JudgeRow(
        "ai-sdk",
        "Vercel AI SDK",
        "node",
        "ai.mjs",
        tuple(
            Client(name, dialect, loop=("own loop", "own loop, whole"), lacks=_FRAMEWORK | lacks)
            for name, dialect, lacks in (
                ("ai-compatible", "openai-chat", {}),
                ("ai-openai-chat", "openai-chat", {"reasoning": "the SDK drops what Chat has of it"}),
                ("ai-openai", "openai-responses", _NO_STOP),
                ("ai-anthropic", "anthropic", {}),
                ("ai-google", "gemini", {}),
            )
        ),
    ),
    JudgeRow(
        "langchain",
        "LangChain",
        "clients",
        "langchain_judge.py",
        tuple(
            Client(
                dialect,
                dialect,
                ("stream", "async stream"),
                ("whole", "async whole"),
                lacks=_FRAMEWORK | lacks,
            )
            for dialect, lacks in (
                ("openai-chat", {"reasoning": "the framework drops what Chat has of it"}),
                ("openai-responses", _NO_STOP),
                ("anthropic", {}),
            )
        ),
    ),
    JudgeRow(
        "pydantic-ai",
        "Pydantic AI",
        "clients",
        "pydantic_judge.py",
        tuple(
            Client(dialect, dialect, loop=("own loop",), forbids=forbids, lacks=_FRAMEWORK | lacks)
            for dialect, forbids, lacks in (
                ("openai-chat", ("stream", "whole", "own loop"), {}),
                ("openai-responses", ("stream", "whole", "own loop"), _NO_STOP),
                ("anthropic", (), {"structured output": "of models that it does not know it asks for none"}),
                ("gemini", (), {}),
            )
        ),
    ),
    JudgeRow(
        "dashscope",
        "DashScope's SDK for Python",
        "clients",
        "dashscope_judge.py",
        (Client("openai-chat", "openai-chat", lacks=_FRAMEWORK),),
    ),
    JudgeRow(
        "llm",
        "llm",
        "clients",
        "llm_judge.py",
        (
            Client(
                "openai-chat",
                "openai-chat",
                ("stream", "async stream"),
                loop=("own loop",),
                lacks=_FRAMEWORK
                | {
                    "errors before, too many requests": "it asks again, and waits",
                    "errors before, overloaded": "it asks again, and waits",
                    "reasoning": "it shows none",
                    "signatures": "it shows no thoughts",
                    "tools": "it runs them itself",
                    "agent loop, answers as they were": "it runs the loop itself",
                    "agent loop, careless": "it runs the loop itself",
                    "a second turn, rebuilt from its text": "it keeps the talk itself",
                    "content filter": "it does not tell the finish",
                },
            ),
        ),
    ),
    JudgeRow(
        "litellm",
        "LiteLLM",
        "litellm",
        "litellm_judge.py",
        tuple(
            Client(
                dialect,
                dialect,
                ("stream", "async stream"),
                ("whole", "async whole"),
                forgets=("stream", "async stream") if dialect == "anthropic" else (),
                lacks=_FRAMEWORK | lacks,
            )
            for dialect, lacks in (
                ("openai-chat", {}),
                ("anthropic", _LITELLM | {"overloaded": "it says 500 instead of 529"}),
                ("gemini", _LITELLM | {"a system prompt": "it puts the system prompt before the user's words"}),
            )
        ),
    ),
    JudgeRow(
        "ark-go",
        "Ark's SDK for Go",
        "go",
        "ark",
        (
            Client("openai-chat", "openai-chat", lacks=_NO_COUNT | _ARK),
            Client(
                "openai-responses",
                "openai-responses",
                lacks=_NO_STOP | _NO_COUNT | _ARK_ECHOES,
            ),
        ),
    ),
    JudgeRow(
        "openai-java",
        "OpenAI's SDK for Java",
        "java",
        "judge.Judge",
        (
            Client("openai-chat", "openai-chat", lacks=_NO_COUNT),
            Client("openai-responses", "openai-responses", lacks=_NO_STOP | _NO_COUNT),
        ),
    ),
    JudgeRow(
        "ark-java",
        "Ark's SDK for Java",
        "java",
        "ark/judge.ArkJudge",
        (
            Client("openai-chat", "openai-chat", lacks=_NO_COUNT | _ARK),
            Client(
                "openai-responses",
                "openai-responses",
                lacks=_NO_STOP
                | _NO_COUNT
                | _ARK_RESPONSES
                | {
                    "signatures": _NO_THOUGHTS_BACK,
                    "agent loop, answers as they were, the same, thinking": _NO_THOUGHTS_BACK,
                    "agent loop, answers as they were @ sim-responses": _NO_THOUGHTS_BACK,
                },
            ),
        ),
    ),
)
