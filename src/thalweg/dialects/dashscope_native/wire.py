"""The shapes of DashScope's answers, as lenient as they come: only lists and objects are typed, leaves may be anything.

Three kinds of output share one shape: `choices` (result format `message`), `text` (the older format, and applications)
and a bare `message` (deep research). `choices_of` makes one of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from thalweg.canon.parts import Citation
from thalweg.canon.usage import MOST_TOKENS
from thalweg.dialects.dashscope_native.tables import NOT_FINISHED, RESEARCHED
from thalweg.dialects.kit.body import NULL
from thalweg.dialects.kit.frames import BadFrame, check_size, is_json
from thalweg.framing.sse import Frame


class Function(msgspec.Struct, gc=False):
    """A piece of a function call."""

    name: Any = None
    arguments: Any = None


class CallPiece(msgspec.Struct):
    """A piece of a tool call: the first has id and name, later ones an empty id."""

    index: Any = None
    id: Any = None
    function: Function | None = None


class Message(msgspec.Struct):
    """What was said so far, or since the last frame. Never a `delta`."""

    content: Any = None
    reasoning_content: Any = None
    tool_calls: list[CallPiece] | None = None
    phase: Any = None
    status: Any = None
    extra: Any = None


class Choice(msgspec.Struct):
    """One choice."""

    index: Any = None
    message: Message | None = None
    finish_reason: Any = None
    logprobs: Any = None


class Output(msgspec.Struct):
    """What an answer holds beside its usage."""

    choices: list[Choice] | None = None
    text: Any = None
    message: Message | None = None
    finish_reason: Any = None
    fininshed_reason: Any = None
    """Of a deep research, spelled so, and `"null"` even in its last frame."""
    model_name: Any = None
    search_info: Any = None
    tool_info: Any = None


class Answer(msgspec.Struct):
    """A frame's payload, or a whole body. `code` is only there in an error."""

    output: Output | None = None
    usage: Any = None
    request_id: Any = None
    code: Any = None
    message: Any = None
    error: Any = None


class CommonText(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A piece of a content that is a list, of text alone."""

    text: str


class CommonFunction(msgspec.Struct, gc=False):
    """Arguments that go on."""

    arguments: str


class CommonPiece(msgspec.Struct, gc=False):
    """A piece of a call that goes on."""

    index: int
    function: CommonFunction
    id: str | None = None


class CommonMessage(msgspec.Struct, gc=False):
    """A message that goes on."""

    content: str | list[CommonText] | None = None
    reasoning_content: str | None = None
    tool_calls: list[CommonPiece] | None = None


class CommonChoice(msgspec.Struct, gc=False):
    """The first choice, going on."""

    message: CommonMessage
    finish_reason: Literal["null", ""] | None = None
    index: Literal[0] = 0
    logprobs: None = None


class CommonOutput(msgspec.Struct, gc=False):
    """An output that is one choice and no more."""

    choices: tuple[CommonChoice]
    message: None = None
    search_info: None = None
    tool_info: None = None


class CommonAnswer(msgspec.Struct, gc=False):
    """The common frame, which only adds to the first choice. What may not be there has a type of its own, so that the
    parser refuses it.
    """

    output: CommonOutput
    usage: msgspec.Raw = NULL
    code: Literal[""] | None = None
    error: None = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] | None


class Counts(msgspec.Struct, gc=False):
    """The two numbers of a usage report that is one model's."""

    input_tokens: _Count = None
    output_tokens: _Count = None
    models: None = None


read_common = msgspec.json.Decoder(CommonAnswer).decode
read_counts = msgspec.json.Decoder(Counts).decode
read_any = msgspec.json.Decoder().decode
_decode_answer = msgspec.json.Decoder(Answer).decode
_STATUS = b"HTTP_STATUS/"
_DONE = b"[DONE]"
_SKIPPED_PHASE = "KeepAlive"


def payloads(frame: Frame) -> list[bytes]:
    """The JSON texts in a frame: one, or one a line where the gateway left out the blank lines between its frames."""
    check_size(frame)
    if frame.data is None:
        return []
    texts = frame.lines if frame.lines and not is_json(frame.data) else (frame.data,)
    return [text for text in texts if text.strip() and not text.startswith(_DONE)]


def status_of(frame: Frame) -> int | None:
    """The HTTP status that stands in the frame's comment, the last where there are several."""
    for name, value in reversed(frame.fields):
        if not name and value.startswith(_STATUS) and value[len(_STATUS) :].isdigit():
            return int(value[len(_STATUS) :])
    return None


def read(payload: bytes) -> Answer:
    """One answer. Raises `BadFrame` for what is none."""
    try:
        payload.decode()  # the decoder passes over the text of unknown fields
        return _decode_answer(payload)
    except msgspec.ValidationError as error:
        return _read_error(payload, error)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error


def _read_error(payload: bytes, reason: Exception) -> Answer:
    """An answer of another shape may still say an error."""
    try:
        tree = read_any(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFrame("sent a frame that is not JSON") from error
    if isinstance(tree, dict) and (tree.get("code") or tree.get("error")):
        return Answer(**{key: tree.get(key) for key in ("request_id", "code", "message", "error")})
    raise BadFrame(f"sent an answer of another shape ({reason})") from reason


def error_of(answer: Answer, event: bytes = b"") -> dict[str, Any] | None:
    """The error in an answer, with `code` and `message`; `None` where there is none."""
    if isinstance(answer.error, dict | str) and answer.error:
        return answer.error if isinstance(answer.error, dict) else {"message": answer.error}
    if answer.code or event == b"error":
        return {"code": answer.code, "message": answer.message}
    return None


def choices_of(output: Output) -> list[Choice]:
    """The choices in whichever form they are said."""
    if output.choices:
        return output.choices
    if isinstance(output.text, str):
        return [Choice(message=Message(content=output.text), finish_reason=output.finish_reason)]
    message = output.message
    if message is None or message.phase == _SKIPPED_PHASE:
        return []
    said = output.fininshed_reason
    whole = said in NOT_FINISHED and message.phase == "answer" and message.status == RESEARCHED
    return [Choice(message=message, finish_reason=RESEARCHED if whole else said)]


def finish_of(choice: Choice) -> str | None:
    """The finish reason, or `None` while the choice goes on."""
    reason = choice.finish_reason
    return reason if isinstance(reason, str) and reason not in NOT_FINISHED else None


def text_of(content: Any) -> str:
    """The text of a `content`: a string, or a list of objects keyed by kind."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(each["text"] for each in content if isinstance(each, dict) and isinstance(each.get("text"), str))


def others_in(content: Any) -> list[dict[str, Any]]:
    """What a `content` holds beside text: pictures, sounds, results of text recognition."""
    if not isinstance(content, list):
        return []
    found = [{key: each[key] for key in each if key != "text"} for each in content if isinstance(each, dict)]
    return [each for each in found if any(each.values())]


def arguments_of(value: Any) -> str:
    """A call's arguments as text. What nests too deeply to be written is nothing."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else msgspec.json.encode(value).decode()
    except RecursionError:
        return ""


def sources_of(output: Output) -> list[Citation]:
    """What the answer rests on: results of a search, or references of a deep research."""
    found = _listed(output.search_info, "search_results")
    extra = output.message.extra if output.message else None
    if isinstance(extra, dict):
        found += _listed(extra.get("deep_research"), "references")
    return [
        Citation(url=each["url"], title=_words(each.get("title")), quote=_words(each.get("description")))
        for each in found
        if isinstance(each, dict) and isinstance(each.get("url"), str)
    ]


def _listed(tree: Any, key: str) -> list[Any]:
    found = tree.get(key) if isinstance(tree, dict) else None
    return list(found) if isinstance(found, list) else []


def _words(value: Any) -> str | None:
    return value if isinstance(value, str) else None
