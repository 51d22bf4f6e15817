"""Conversations: what was said, as a request and as a file. The files are their owner's alone.

Images are sent for as long as the command runs and not kept in the file: there a note stands in their place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from thalweg.profiles.providers import PROVIDERS, SIMULATOR

MOST_KEPT = 100
"""Conversations; older ones are deleted."""
_VERSION = 1


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image to send."""

    name: str
    url: str
    """A `data:` URL."""


class Said(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One message."""

    role: Literal["user", "assistant"]
    text: str
    images: list[str] = []
    """Names of the images that went with it."""


class Conversation(msgspec.Struct, kw_only=True):
    """What was said to one model, or to several in turn."""

    version: int = _VERSION
    id: str
    model: str
    system: str | None = None
    updated_ms: int = 0
    messages: list[Said] = []


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a model beside its answer; `None` leaves it to the provider."""

    temperature: float | None = None
    max_tokens: int | None = None
    effort: str | None = None


class Session:
    """A conversation that goes on, with the images that only this process has."""

    def __init__(self, conversation: Conversation, sampling: Sampling) -> None:
        self.conversation = conversation
        self.sampling = sampling
        self._images: dict[int, list[Image]] = {}
        """By the number of their message."""

    @property
    def model(self) -> str:
        """Whom the next message goes to."""
        return self.conversation.model

    def say(self, text: str, images: list[Image]) -> None:
        """Add a message of the user's."""
        messages = self.conversation.messages
        if images:
            self._images[len(messages)] = images
        messages.append(Said(role="user", text=text, images=[image.name for image in images]))

    def answered(self, text: str) -> None:
        """Add the model's answer. Without one the question is taken back, so that it can be asked again."""
        if text:
            self.conversation.messages.append(Said(role="assistant", text=text))
        else:
            self.conversation.messages.pop()
            self._images.pop(len(self.conversation.messages), None)

    def clear(self) -> None:
        """Begin again, in a conversation of its own."""
        self.conversation = new_conversation(self.model, self.conversation.system)
        self._images.clear()

    def request(self) -> bytes:
        """The next request, in Chat's words."""
        sampling = self.sampling
        body: dict[str, Any] = {"model": self.model, "messages": self._wire_messages(), "stream": True}
        body["stream_options"] = {"include_usage": True}
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        if sampling.max_tokens is not None:
            body[_max_tokens_field(self.model)] = sampling.max_tokens
        if sampling.effort is not None:
            body["reasoning_effort"] = sampling.effort
        return msgspec.json.encode(body)

    def _wire_messages(self) -> list[dict[str, Any]]:
        system = self.conversation.system
        messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
        for number, said in enumerate(self.conversation.messages):
            messages.append({"role": said.role, "content": self._content(said, self._images.get(number, []))})
        return messages

    def _content(self, said: Said, images: list[Image]) -> Any:
        lost = said.images[len(images) :]
        text = "\n".join([*(f"[image {name}]" for name in lost), said.text]) if lost else said.text
        if not images:
            return text
        parts = [{"type": "image_url", "image_url": {"url": image.url}} for image in images]
        return [*parts, {"type": "text", "text": text}] if text else parts


def _max_tokens_field(model: str) -> str:
    vendor = model.partition("/")[0]
    row = next((row for row in PROVIDERS if row.name == vendor), SIMULATOR)
    return row.profile.max_tokens_field


def new_conversation(model: str, system: str | None) -> Conversation:
    """A conversation in which nothing has been said."""
    return Conversation(
        id=f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}", model=model, system=system, messages=[]
    )


class Conversations:
    """The conversations of one home, a JSON file each. Not kept means: nothing is written, and none is found."""

    def __init__(self, home: Path, *, kept: bool) -> None:
        self._folder = home / "conversations"
        self._kept = kept

    @property
    def history(self) -> Path | None:
        """The file of the lines that were typed; `None` where nothing is kept."""
        return self._folder / "history" if self._kept else None

    def save(self, conversation: Conversation) -> None:
        """Write it, whole or not at all, and drop the oldest ones. Raises `OSError`."""
        if not self._kept or not conversation.messages:
            return
        conversation.updated_ms = time.time_ns() // 1_000_000
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / f"{conversation.id}.json"
        draft = file.with_suffix(f".{os.getpid()}.part")
        try:
            draft.touch(mode=0o600)
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(conversation), indent=1))
            draft.replace(file)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._forget()

    def last(self) -> Conversation | None:
        """The one that was spoken in last; `None` when there is none."""
        for file in self._files():
            with contextlib.suppress(OSError, msgspec.DecodeError):  # what is no conversation is passed over
                return msgspec.json.decode(file.read_bytes(), type=Conversation)
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        dated = []
        for file in self._folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # another process drops old ones, too
                dated.append((file.stat().st_mtime_ns, file))
        return [file for _, file in sorted(dated, reverse=True)]

    def _forget(self) -> None:
        for file in self._files()[MOST_KEPT:]:
            file.unlink(missing_ok=True)
