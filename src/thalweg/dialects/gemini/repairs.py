"""The mends of frames that break the dialect's own SDKs; the rows stand in `tables.GEMINI_REPAIRS`."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from thalweg.dialects.gemini.tables import (
    NUMBERED_BLOCK,
    NUMBERED_CATEGORY,
    NUMBERED_FINISH,
    NUMBERED_MODALITY,
    NUMBERED_PROBABILITY,
)
from thalweg.framing.sse import Frame

_WORDS = {
    b"finishReason": NUMBERED_FINISH,
    b"blockReason": NUMBERED_BLOCK,
    b"category": NUMBERED_CATEGORY,
    b"probability": NUMBERED_PROBABILITY,
    b"modality": NUMBERED_MODALITY,
}
# A quote that ends a key is never escaped, so this cannot be found inside of a string.
_NUMBERED = re.compile(rb'"(' + b"|".join(_WORDS) + rb')"(\s*:\s*)(\d{1,3})(?=\s*[,}\]])')
_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_candidates = msgspec.json.Decoder(list[dict[str, Raw]]).decode


def is_sound(frame: Frame) -> bool:
    """Whether every SDK reads this frame: one line of `data: `, no other field. The LF of a CRLF that a read has torn
    stands before it.
    """
    data = frame.data
    if data is None or frame.fields or frame.event or frame.lines:
        return False
    one_object = not data.lstrip().startswith(b"[")
    return one_object and frame.raw.strip(b"\r\n") == b"data: " + data.rstrip(b"\r\n")


def has_numbers(payload: bytes) -> bool:
    """Whether a number may stand where a word belongs."""
    return _NUMBERED.search(payload) is not None


def words_for_numbers(payload: bytes) -> bytes | None:
    """The chunk with words, or `None` where it has no such number. Content keeps its bytes: a tool's arguments may have
    fields of the same names.
    """
    top = _decode_top(payload)
    before = dict(top)
    for name in top.keys() & {"usageMetadata", "promptFeedback"}:
        top[name] = _worded(top[name])
    if "candidates" in top:
        top["candidates"] = _worded_candidates(top["candidates"])
    return None if top == before else msgspec.json.encode(top)


def _worded_candidates(raw: Raw) -> Raw:
    candidates = _decode_candidates(raw)
    worded = [_with_finish(candidate) for candidate in candidates]
    for candidate in worded:
        if "safetyRatings" in candidate:
            candidate["safetyRatings"] = _worded(candidate["safetyRatings"])
    return raw if worded == candidates else Raw(msgspec.json.encode(worded))


def _with_finish(candidate: dict[str, Raw]) -> dict[str, Raw]:
    if "finishReason" not in candidate:
        return dict(candidate)
    alone = b'{"finishReason":' + bytes(candidate["finishReason"]) + b"}"
    return candidate | _decode_top(_NUMBERED.sub(_word, alone))


def _worded(raw: Raw) -> Raw:
    return Raw(_NUMBERED.sub(_word, bytes(raw)))


def _word(found: re.Match[bytes]) -> bytes:
    words, number = _WORDS[found[1]], int(found[3])
    # A number that is newer than the table gets the word that means: nobody said.
    word = words[number] if number < len(words) else words[0]
    return b'"%b"%b"%b"' % (found[1], found[2], word.encode())
