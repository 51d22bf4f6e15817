"""Recordings as an upstream: `replay/NAME` answers as the provider did, in the provider's dialect.

A name may say at what speed: `replay/NAME?speed=4`, or `?speed=max` for as fast as it is taken; a semicolon does for
the question mark, as in the simulator's names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl

from msgspec.structs import replace

from thalweg.canon.errors import InvalidRequest, NotFound
from thalweg.canon.script import BreakOff, RefuseConnection, Step
from thalweg.config import Settings
from thalweg.profiles.base import Profile, Provider
from thalweg.profiles.providers import SIMULATORS
from thalweg.recorder.form import Header, RecordingError
from thalweg.recorder.playback import FASTEST, steps
from thalweg.recorder.shelf import Shelf
from thalweg.upstream.base import UpstreamRequest

REPLAY = "replay"
"""The provider in the names of recordings."""
MOST_LISTED = 200
_SLOWEST, _FASTEST_NUMBER = 0.01, 1000.0
_ALL_FILES = frozenset({"image", "audio", "video", "document"})
_log = logging.getLogger("thalweg.server")


class Wanted(NamedTuple):
    """A recording's name, and the speed at which it is wanted."""

    name: str
    speed: float


class Replays:
    """The recordings that can be asked for. Fits `PlayedConnector`."""

    def __init__(self, settings: Settings) -> None:
        self._providers = settings.providers
        self._shelf = Shelf(settings.replay_folder)

    def names(self) -> list[str]:
        """The last ones, as models are named."""
        return [f"{REPLAY}/{name}" for name in self._shelf.names(MOST_LISTED)]

    def row(self, model: str) -> Provider:
        """A provider that answers as a recording does, by the model's name behind the slash.

        Raises `NotFound` and `InvalidRequest`.
        """
        wanted = _read(model)
        try:
            header = self._shelf.header(wanted.name)
        except OSError as error:
            message = f"There is no recording {wanted.name[:200]!r} here. `thalweg recordings` lists those there are."
            raise NotFound(message, param="model") from error
        except RecordingError as error:
            raise NotFound(f"The recording {wanted.name!r} cannot be played: {error}.", param="model") from error
        stand_in = next((each for each in SIMULATORS.values() if each.dialect == header.dialect), None)
        if stand_in is None:
            message = f"The recording {wanted.name!r} is in a dialect that is not known here."
            raise NotFound(message, param="model")
        return replace(
            stand_in,
            name=REPLAY,
            title="Recording",
            # Which recording it is goes with the request in its path, as nothing else of a request is ours alone.
            base_url=f"http://replay.invalid/{wanted.name}/{wanted.speed}",
            profile=self._profile(header, stand_in),
            model_rows=(),
        )

    def __call__(self, request: UpstreamRequest) -> Iterator[Step]:
        """The steps of the recording that a request is for."""
        _, name, speed, *_ = request.target.decode("ascii").split("/")
        file, begun = self._shelf.find(name), False
        try:
            if file is not None:
                for step in steps(file, float(speed)):
                    begun = True
                    yield step
                return
        except (OSError, RecordingError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            _log.warning("the recording %s cannot be played to its end: %s", name, why)
        yield BreakOff(reset=False) if begun else RefuseConnection()

    def _profile(self, header: Header, stand_in: Provider) -> Profile:
        """What was true of the provider when it was recorded, as far as it is known: its streams are mended as then."""
        provider = self._providers.get(header.provider)
        same = provider is not None and provider.row.dialect == header.dialect
        profile = provider.row.profile_of(header.model) if provider is not None and same else stand_in.profile
        kind = dict(header.headers).get("content-type", "")
        # Nothing is fetched for a request that nobody will read.
        return replace(profile, stream_only="event-stream" in kind, media_urls=_ALL_FILES)


def _read(model: str) -> Wanted:
    name = model.partition("?")[0].partition(";")[0]
    query = model[len(name) + 1 :].replace(";", "&")
    speed = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=8)) if query else {}
    if not speed.keys() <= {"speed"}:
        raise InvalidRequest("A recording's name takes 'speed' alone: 'replay/NAME?speed=4'.", param="model")
    return Wanted(name, _speed(speed.get("speed", "1")))


def _speed(text: str) -> float:
    if text == "max":
        return FASTEST
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not _SLOWEST <= speed <= _FASTEST_NUMBER:
        message = f"The speed of a recording is a number from {_SLOWEST:g} to {_FASTEST_NUMBER:g}, or 'max'."
        raise InvalidRequest(message, param="model")
    return speed
