"""An answer that goes on from a beginning: what is left of the same answer, in whichever words it is asked for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.simulator.stage import SIMULATOR, bodies
from thalweg.canon.parts import Reasoning, Text
from thalweg.canon.response import Response
from thalweg.client.codecs import decode

QUESTION = {"role": "user", "content": "Tell me of the river."}
MARKS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "partial": ("openai-chat", {"partial": True}, {}),
    "prefix": ("openai-chat", {"prefix": True}, {}),
    "continue_final_message": ("openai-chat", {}, {"continue_final_message": True}),
    "by itself": ("anthropic", {}, {"max_tokens": 1000}),
}
"""How a request says that its last message is the beginning: the dialect, fields of the message, and beside it."""


def ask(dialect: str, model: str, messages: list[dict[str, Any]], fields: dict[str, Any]) -> Response:
    body = msgspec.json.encode({"model": model, "stream": True, "messages": messages} | fields)
    return decode(b"".join(bodies(SIMULATOR.answer(dialect, body, seed=1, created=1_700_000_000))), dialect)


def text_of(response: Response) -> str:
    assert response.error is None
    return "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("model", ["text?seed=5&tokens=40", "reasoning?seed=5", "long?seed=5&tokens=60"])
def test_the_rest_after_any_beginning_makes_the_whole(mark: str, model: str) -> None:
    dialect, inside, beside = MARKS[mark]
    whole = text_of(ask(dialect, model, [QUESTION], beside))
    for length in range(1, len(whole), 7):
        begun = {"role": "assistant", "content": whole[:length]} | inside
        assert whole[:length] + text_of(ask(dialect, model, [QUESTION, begun], beside)) == whole


def test_without_a_word_that_says_so_an_assistant_s_last_message_is_history() -> None:
    whole = text_of(ask("openai-chat", "text?seed=5", [QUESTION], {}))
    begun = {"role": "assistant", "content": whole[:9]}
    assert whole[:9] + text_of(ask("openai-chat", "text?seed=5", [QUESTION, begun], {})) != whole


def test_what_it_would_not_have_said_is_passed_over() -> None:
    begun = {"role": "assistant", "content": "Something else.", "partial": True}
    whole = text_of(ask("openai-chat", "text?seed=5", [QUESTION], {}))
    assert text_of(ask("openai-chat", "text?seed=5", [QUESTION, begun], {})) == whole


def test_who_has_begun_does_not_think_once_more() -> None:
    begun = {"role": "assistant", "content": "Th", "partial": True}
    response = ask("openai-chat", "reasoning?seed=5", [QUESTION, begun], {})
    assert not any(isinstance(part, Reasoning) for part in response.choices[0].parts)
