"""Zhipu (Z.AI).

Sources: recorded streams and whole answers of glm-4.5 to glm-5.3, and the errors 401 and 1001 as quoted in public bug
reports, read 2026-11. The older models send no `object`. Not shown: the line end with which some of them begin their
text. Assumed: the other errors' numbers and words.
"""

from __future__ import annotations

from typing import Any

from thalweg.simulator.manners import ids
from thalweg.simulator.manners.base import Listed, Manner
from thalweg.simulator.manners.checks import one_of
from thalweg.simulator.manners.errors import Errors, Refusal
from thalweg.simulator.manners.form import Form, Kind
from thalweg.simulator.manners.shape import Or, Shape, Slot, of
from thalweg.simulator.manners.thinking import thinking_object

_CALL = of(
    id=Slot.CALL_ID, index=Slot.CALL_INDEX, type="function", function=of(name=Slot.NAME, arguments=Slot.ARGUMENTS)
)
_WHOLE_CALL = of(
    function=of(arguments=Slot.ARGUMENTS, name=Slot.NAME),
    id=Slot.CALL_ID,
    index=Slot.CALL_INDEX,
    type="function",
)
_CHOICE = of(
    finish_reason=Slot.FINISH,
    index=Slot.INDEX,
    message=of(content=Or(Slot.TEXT, ""), reasoning_content=Slot.REASONING, role="assistant", tool_calls=Slot.CALLS),
)


def _form(*, has_object: bool) -> Form:
    """The newer models name the object, and count the tokens of reasoning."""
    middle: dict[str, Any] = {"object": "chat.completion.chunk"} if has_object else {}

    def chunk(choice: Shape) -> Shape:
        return of(id=Slot.ID, created=Slot.CREATED, **middle, model=Slot.MODEL, choices=(choice,), usage=Slot.USAGE)

    def delta(delta: Shape) -> Shape:
        return chunk(of(index=Slot.INDEX, delta=delta))

    frames: dict[Kind, Shape] = {
        "reasoning": delta(of(role="assistant", reasoning_content=Slot.REASONING)),
        "text": delta(of(role="assistant", content=Slot.TEXT)),
        "call": delta(of(tool_calls=(_CALL,))),
        "finish": chunk(of(index=Slot.INDEX, finish_reason=Slot.FINISH, delta=of(role="assistant", content=""))),
    }
    thought: dict[str, Any] = {"completion_tokens_details": of(reasoning_tokens=Or(Slot.THOUGHT, 0))}
    whole: dict[str, Any] = {"object": "chat.completion"} if has_object else {}
    return Form(
        answer_id=ids.dated,
        call_id=ids.call(ids.hexes(24, "call_")),
        frames=frames,
        calls="whole",
        usage=of(
            prompt_tokens=Slot.PROMPT,
            completion_tokens=Slot.COMPLETION,
            total_tokens=Slot.TOTAL,
            prompt_tokens_details=of(cached_tokens=Slot.CACHED),
            **(thought if has_object else {}),
        ),
        usage_in_finish="always",
        usage_alone="never",
        answer=of(
            choices=Slot.CHOICES,
            created=Slot.CREATED,
            id=Slot.ID,
            model=Slot.MODEL,
            **whole,
            request_id=Slot.REQUEST_ID,
            usage=Slot.USAGE,
        ),
        choice=_CHOICE,
        call=_WHOLE_CALL,
    )


_OLD, _NEW = _form(has_object=False), _form(has_object=True)

ZHIPU = Manner(
    name="zhipu",
    title="Zhipu",
    base_paths=("/api/paas/v4", "/api/coding/paas/v4"),
    models=(
        Listed(name="glm-5.3", thinks="on"),
        Listed(name="glm-5.2", thinks="on"),
        Listed(name="glm-4.7", thinks="on"),
        Listed(name="glm-4.7-flash", thinks="on"),
        Listed(name="glm-4.6", thinks="on", form=_OLD),
        Listed(name="glm-4.5", thinks="on", form=_OLD),
        Listed(name="glm-4.5-flash", thinks="on", form=_OLD),
        Listed(name="glm-4.5v", thinks="on", form=_OLD),
    ),
    form=_NEW,
    errors=Errors(
        body=of(error=of(code=Slot.CODE, message=Slot.MESSAGE)),
        words={
            "": (None, "1214"),
            "auth": (None, "401"),
            "billing": (None, "1113"),
            "permission": (None, "1220"),
            "not_found": (None, "1211"),
            "context_length": (None, "1261"),
            "rate_limit": (None, "1302"),
            "overloaded": (None, "1305"),
            "server": (None, "500"),
        },
        no_key=Refusal(401, "Header中未收到Authorization参数，无法进行身份验证。", code="1001"),
        wrong_key=Refusal(401, "令牌已过期或验证不正确！", kind="auth"),
        no_model=Refusal(400, "模型不存在，请检查模型代码。", kind="not_found"),
        no_path=Refusal(404, "Not Found", code="404"),
    ),
    switches=(thinking_object,),
    checks=(one_of("thinking.type", ("enabled", "disabled"), Refusal(400, "thinking.type 参数非法：{value}")),),
    stream_type=b"text/event-stream;charset=UTF-8",
    answer_type=b"application/json; charset=UTF-8",
    headers=((b"x-log-id", Slot.ID),),
)
