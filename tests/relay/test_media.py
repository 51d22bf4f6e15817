"""Which files of a request must be fetched for an upstream, and the request with them in place."""

from __future__ import annotations

import pytest

from thalweg.canon.parts import Media, Part, Text, ToolCall, ToolResult
from thalweg.canon.request import Message, Request
from thalweg.relay.media import TYPES, Found, Wanted, filled, wanted

CAT = Media(kind="image", url="https://a.example/cat.png", detail="low", cache="5m")
PAPER = Media(kind="document", url="https://a.example/paper", mime="application/pdf")
THING = Media(kind="document", url="https://a.example/thing")
FILM = Media(kind="video", url="https://Tube.example/watch")
INLINE = Media(kind="image", data="iVBORw0KGgo=", mime="image/png")
UPLOADED = Media(kind="image", file_id="file-1", vendor="openai")


def asking(*parts: Part, dialect: str = "anthropic", system: tuple[Text, ...] = ()) -> Request:
    return Request(model="m", messages=(Message(role="user", parts=parts),), dialect=dialect, system=system)


@pytest.mark.parametrize(
    ("part", "taken", "urls"),
    [
        pytest.param(CAT, {"image"}, [], id="the upstream opens addresses of pictures"),
        pytest.param(CAT, set(), [CAT.url], id="it opens none"),
        pytest.param(PAPER, {"image"}, [PAPER.url], id="it opens none of documents"),
        pytest.param(INLINE, set(), [], id="the bytes are there"),
        pytest.param(UPLOADED, set(), [], id="a file that was uploaded somewhere"),
        pytest.param(Text(text="https://a.example/cat.png"), set(), [], id="an address in a text"),
        pytest.param(ToolResult(call_id="c", parts=(CAT, PAPER)), {"image"}, [PAPER.url], id="in a tool's result"),
        pytest.param(FILM, set(), [], id="an address of its own, in other letters"),
    ],
)
def test_what_is_wanted(part: Part, taken: set[str], urls: list[str]) -> None:
    found = wanted(asking(Text(text="?"), part), taken=taken, prefixes=("https://tube.example/",))
    assert [each.url for each in found] == urls


def test_each_is_wanted_once_and_in_order() -> None:
    request = Request(
        model="m",
        messages=(
            Message(role="user", parts=(PAPER, CAT, PAPER)),
            Message(role="assistant", parts=(ToolCall(id="c", name="f", arguments="{}"),)),
            Message(role="user", parts=(ToolResult(call_id="c", parts=(Text(text="x"), CAT, THING)),)),
        ),
        dialect="anthropic",
    )
    assert wanted(request, taken=()) == (
        Wanted(str(PAPER.url), "document", "messages[0].content[0]"),
        Wanted(str(CAT.url), "image", "messages[0].content[1]"),
        Wanted(str(THING.url), "any", "messages[2].content[0].content[2]"),
    )


@pytest.mark.parametrize(
    ("dialect", "in_message", "in_result"),
    [
        ("openai-chat", "messages[2].content[1]", "messages[2].content[0]"),
        ("openai-responses", "input[0].content[1]", "input[0].output[0]"),
        ("anthropic", "messages[0].content[1]", "messages[0].content[1].content[0]"),
        ("gemini", "contents[0].parts[1]", "contents[0].parts[1].functionResponse.parts[0]"),
        ("dashscope-native", "messages[0].content[1]", "messages[0].content[1].content[0]"),
    ],
)
def test_where_it_stands_is_said_in_the_client_s_words(dialect: str, in_message: str, in_result: str) -> None:
    """A Chat client's instructions are messages of its own list."""
    system = (Text(text="a"), Text(text="b"))
    for part, param in ((CAT, in_message), (ToolResult(call_id="c", parts=(CAT,)), in_result)):
        (found,) = wanted(asking(Text(text="?"), part, dialect=dialect, system=system), taken=())
        assert found.param == param


def test_filled() -> None:
    """What was fetched stands in every place of its address; nothing else has changed."""
    before = asking(Text(text="?"), CAT, INLINE, ToolResult(call_id="c", parts=(CAT, Text(text="x"))), PAPER)
    after = filled(before, {(str(CAT.url), "image"): Found.of("image/webp", b"RIFF")})
    cat = Media(kind="image", mime="image/webp", data="UklGRg==", detail="low", cache="5m")
    expected = (Text(text="?"), cat, INLINE, ToolResult(call_id="c", parts=(cat, Text(text="x"))), PAPER)
    assert after == asking(*expected)


@pytest.mark.parametrize(
    ("mime", "kind"),
    [("image/png", "image"), ("audio/mpeg", "audio"), ("video/mp4", "video"), ("text/plain", "document")],
)
def test_a_file_of_no_kind_is_what_it_turns_out_to_be(mime: str, kind: str) -> None:
    """Gemini's and Responses' clients name no kind."""
    after = filled(asking(THING), {(str(THING.url), "any"): Found.of(mime, b"x")})
    (part,) = after.messages[0].parts
    assert isinstance(part, Media)
    assert (part.kind, part.mime, part.url) == (kind, mime, None)


def test_without_files_nothing_changes() -> None:
    request = asking(Text(text="?"), INLINE)
    assert wanted(request, taken=()) == ()
    assert filled(request, {}) == request


def test_no_type_holds_a_script() -> None:
    assert not any("svg" in mime for types in TYPES.values() for mime in types)
    assert "image/*" not in TYPES["image"]
