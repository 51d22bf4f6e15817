"""What can be asked of the simulator beside the answer: how it is made, delivered and broken.

Knobs are turned in the model's name, as a query: `text?seed=7&ttft=0.2&pace=50&fault=reset&at=3`, where semicolons do
for `?` and `&`; and in a field of the request: `"simulator": {"seed": 7, "ttft": 0.2, "fault": ["reset"], "at": 3}`.
Where both turn one, the name's holds: a name with knobs is a model of its own, which whoever gives it out can rely on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from thalweg.canon.errors import InvalidRequest
from thalweg.canon.request import Request

FIELD = "simulator"
"""The field of a request that turns knobs."""

Turned = dict[str, Any]
"""The knobs that were turned, by name, checked."""

_LONGEST_SHOWN = 40
_MOST_IN_A_NAME = 32


class Knobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer is made and delivered. The descriptions stand in the documentation, too."""

    seed: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=2**63 - 1,
                description="Repeats every random choice, ids included. Unset, the request's own `seed` does; without "
                "one each answer differs.",
            ),
        ]
        | None
    ) = None
    ttft: Annotated[float, Meta(ge=0, le=3600, description="Seconds before the first delta.")] = 0.02
    pace: Annotated[float, Meta(ge=0, le=1_000_000, description="Deltas a second; 0 is as fast as they are taken.")] = (
        100.0
    )
    jitter: Annotated[
        float, Meta(ge=0, le=1, description="How far each gap between deltas may be off, as a part of it.")
    ] = 0.0
    chunk: Annotated[int, Meta(ge=1, le=1_000_000, description="Tokens in a delta.")] = 1
    tokens: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=1_000_000_000,
                description="Length of the answer's text, exactly: a short one is said again and again, and the last "
                "words may be cut. Answers in JSON and tool calls are as long as they are.",
            ),
        ]
        | None
    ) = None
    size: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=64 * 1024 * 1024,
                description="Characters in a token of `endless`; bytes that the fault `big-frame` adds.",
            ),
        ]
        | None
    ) = None
    fault: Annotated[
        tuple[str, ...],
        Meta(description="Faults by name, applied in this order: a list, or names with commas between them."),
    ] = ()
    at: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="The delta a fault is placed at, counted from 1. Those before it arrive whole. A choice's "
            "finish counts as one more, and what follows the last finish as another; an answer that ends before it "
            "stays whole.",
        ),
    ] = 4
    retry_after: (
        Annotated[
            int, Meta(ge=1, le=604_800, description="Seconds in the `retry-after` header of a fault with a status.")
        ]
        | None
    ) = None
    # `as` is a word of Python's own.
    manner: (
        Annotated[str, Meta(description="The provider whose manner on the wire the answer has, such as `deepseek`.")]
        | None
    ) = msgspec.field(default=None, name="as")

    def turned(self, turned: Turned) -> Knobs:
        """These with some turned. Faults add up: what a model does by itself, it still does."""
        faults = dict.fromkeys((*self.fault, *turned.get("fault", ())))
        return msgspec.structs.replace(self, **(turned | {"fault": tuple(faults)}))


class Row(NamedTuple):
    """What one knob takes, for those who document or show it."""

    name: str
    kind: str
    """`a whole number`, `a number`, `a name` or `a list of names`."""
    least: float | None
    most: float | None
    default: Any
    says: str

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        return self.kind if self.least is None else f"{self.kind} from {self.least} to {self.most}"


_KINDS = {"integer": "a whole number", "number": "a number", "array": "a list of names", "string": "a name"}
_ATTRIBUTES = {"as": "manner"}


def _rows() -> dict[str, Row]:
    rows = {}
    for name, described in msgspec.json.schema(Knobs)["$defs"]["Knobs"]["properties"].items():
        default = described["default"]
        schema = next((each for each in described.get("anyOf", ()) if each["type"] != "null"), described)
        bounds = schema.get("minimum"), schema.get("maximum")
        rows[name] = Row(name, _KINDS[schema["type"]], *bounds, default, schema["description"])
    return rows


ROWS = _rows()
"""What each knob takes, by name, in the order of `Knobs`."""


def read_knobs(asked: Request, faults: Container[str]) -> tuple[str, Turned]:
    """The model's bare name, and the knobs that its query and the request's field turn; the name's stand above.

    Raises `InvalidRequest` for an unknown knob, a wrong value, and a fault that is none of `faults`.
    """
    name, in_name = _read_name(asked.model, faults)
    return name, _read_field(asked.extensions.get(FIELD), faults) | in_name


def bare_name(model: str) -> str:
    """A model's name without knobs."""
    return model.partition("?")[0].partition(";")[0]


def _read_name(model: str, faults: Container[str]) -> tuple[str, Turned]:
    name = bare_name(model)
    # In a name that stands in a path, as Gemini's do, no question mark and no ampersand may be.
    query = model[len(name) + 1 :].replace(";", "&")
    if not query:
        return name, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_IN_A_NAME)
    except ValueError as error:
        message = (
            "Invalid value for 'model': what follows its question mark is not of the form 'knob=value&knob=value'."
        )
        raise InvalidRequest(message, param="model", code="invalid_value") from error
    return name, _read(dict(pairs), faults, in_name=True)


def _read_field(value: Any, faults: Container[str]) -> Turned:
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"Invalid value for '{FIELD}': expected an object of knobs, got {_shown(value)}."
        raise InvalidRequest(message, param=FIELD, code="invalid_type")
    # Null means absent, as in every other field.
    return _read({knob: each for knob, each in value.items() if each is not None}, faults, in_name=False)


def _read(given: Mapping[str, Any], faults: Container[str], *, in_name: bool) -> Turned:
    """Check each knob. In a name every value is text."""
    turned = {}
    for knob, value in given.items():
        if knob not in ROWS:
            raise _wrong(knob, f"unknown knob; there are {', '.join(ROWS)}", in_name=in_name)
        if knob == "fault" and isinstance(value, str):
            value = list(filter(None, value.split(",")))  # noqa: PLW2901  # the same value in its other form
        try:
            attribute = _ATTRIBUTES.get(knob, knob)
            turned[attribute] = getattr(msgspec.convert({knob: value}, Knobs, strict=not in_name), attribute)
        except msgspec.ValidationError as error:
            raise _wrong(knob, f"must be {ROWS[knob].wanted}, not {_shown(value)}", in_name=in_name) from error
    for fault in turned.get("fault", ()):
        if fault not in faults:
            raise _wrong("fault", f"unknown fault {_shown(fault)}", in_name=in_name)
    return turned


def _wrong(knob: str, what: str, *, in_name: bool) -> InvalidRequest:
    shown = knob[:_LONGEST_SHOWN]
    param = "model" if in_name else f"{FIELD}.{shown}"
    where = f"knob '{shown}' " if in_name else ""
    return InvalidRequest(f"Invalid value for '{param}': {where}{what}.", param=param, code="invalid_value")


def _shown(value: Any) -> str:
    """A value in a message: short, and of what has parts only what it is."""
    if isinstance(value, str):
        return repr(value[:_LONGEST_SHOWN])
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return msgspec.json.encode(value).decode()[:_LONGEST_SHOWN]
