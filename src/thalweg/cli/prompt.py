"""A conversation on a terminal: reads lines, and the commands among them that begin with a slash."""

from __future__ import annotations

import contextlib
import readline
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from thalweg.cli.asking import Outcome
from thalweg.cli.connection import Unreachable
from thalweg.cli.session import Conversation, Conversations, Image, Session
from thalweg.cli.talk import Talk, complain, is_dumb
from thalweg.cli.told import told
from thalweg.cli.visible import readable, visible
from thalweg.cli.words import say
from thalweg.config import ConfigError
from thalweg.ledger.entry import LedgerError

_PROMPT, _DUMB_PROMPT = "\x01\x1b[1m\x02>\x01\x1b[0m\x02 ", "> "
"""Bold where a terminal can; the marks around what takes no column are for readline."""
_MORE = ". "
_QUOTES = '"""'
_GIST_CHARS = 60
_MOST_LINES = 1000
"""That the history of lines keeps."""


class Leave(Exception):
    """The person has said enough."""


class Prompt:
    """One conversation, or several after `/clear`. Images go with the first message."""

    def __init__(self, talk: Talk, session: Session, conversations: Conversations, images: list[Image]) -> None:
        self._talk = talk
        self._session = session
        self._conversations = conversations
        self._images = images
        self._interrupted = False
        """Whether the last thing that was done here was to interrupt an empty line."""

    def run(self) -> int:
        """Read and answer until the person leaves; the exit code."""
        self._greet()
        with _lines_kept(self._conversations.history):
            while True:
                try:
                    if text := self._read().strip("\n"):
                        self._take(text)
                except (Leave, EOFError):
                    return 0

    def _greet(self) -> None:
        messages = self._session.conversation.messages
        _note(say("chat.greeting", model=self._session.model))
        if messages:
            first = messages[0].text.strip().partition("\n")[0][:_GIST_CHARS]
            _note(say("chat.continuing", count=len(messages), first=visible(first)))
            if any(said.images for said in messages):
                _note(say("chat.images_gone"))

    def _read(self) -> str:
        """One message: a line, or lines between triple quotes. Empty after an interruption. Raises `Leave`."""
        text = ""
        try:
            text = input(_DUMB_PROMPT if is_dumb() else _PROMPT)
            if text.lstrip().startswith(_QUOTES):
                text = self._read_quoted(text.lstrip().removeprefix(_QUOTES))
        except KeyboardInterrupt:
            return self._dropped(text or readline.get_line_buffer())
        except EOFError:
            print()
            raise
        self._interrupted = False
        return readable(text)

    def _read_quoted(self, text: str) -> str:
        while not text.rstrip().endswith(_QUOTES):
            text += "\n" + input(_MORE)
        return text.rstrip().removesuffix(_QUOTES)

    def _dropped(self, typed: str) -> str:
        """What was typed is gone. Where nothing was, a second time leaves."""
        print()
        if typed:
            self._interrupted = False
        elif self._interrupted:
            raise Leave
        else:
            self._interrupted = True
            _note(say("chat.leave"))
        return ""

    def _take(self, text: str) -> None:
        if not text.startswith("/"):
            if text.strip():
                self._send(text)
            return
        name, _, rest = text.partition(" ")
        command = _COMMANDS.get(name)
        if command is None:
            complain(say("chat.no_command", name=name))
        else:
            command(self, rest.strip())

    def _send(self, text: str) -> None:
        self._session.say(text, self._images)
        try:
            outcome = self._talk.ask(self._session)
        except _NO_GATEWAY as error:
            self._session.answered("")
            complain(_told(error))
            return
        except KeyboardInterrupt:  # before there was anything to stop
            self._session.answered("")
            print()
            return
        finally:
            self._talk.rest()
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        if outcome.failure is None:
            self._images = []
        self._talk.tell(outcome, self._session)
        with contextlib.suppress(OSError):  # a full disk does not end a conversation
            self._conversations.save(self._session.conversation)
        print()

    def _help(self, _: str) -> None:
        print(say("chat.commands"))

    def _model(self, name: str) -> None:
        if name:
            self._session.conversation.model = name
            _note(say("chat.model_is", model=name))
            return
        try:
            models = self._talk.models()
        except _NO_GATEWAY as error:
            complain(_told(error))
            return
        finally:
            self._talk.rest()
        for listed in models:
            print(f"{'*' if listed.id == self._session.model else ' '} {visible(listed.id)}")

    def _system(self, text: str) -> None:
        conversation = self._session.conversation
        if text:
            conversation.system = None if text == "-" else text
        _note(say("chat.system_is", system=conversation.system or "-"))

    def _clear(self, _: str) -> None:
        self._session.clear()
        _note(say("chat.cleared"))

    def _save(self, name: str) -> None:
        if not name:
            complain(say("chat.save_where"))
            return
        file = Path(name).expanduser()
        try:
            with file.open("x", encoding="utf-8") as out:
                out.write(written(self._session.conversation, as_json=file.suffix == ".json"))
        except OSError as error:
            complain(f"{file}: {error.strerror}")
        else:
            _note(say("chat.saved", file=file))

    def _exit(self, _: str) -> None:
        raise Leave


_COMMANDS: dict[str, Callable[[Prompt, str], None]] = {
    "/help": Prompt._help,
    "/model": Prompt._model,
    "/system": Prompt._system,
    "/clear": Prompt._clear,
    "/save": Prompt._save,
    "/exit": Prompt._exit,
}


_NO_GATEWAY = (Unreachable, LedgerError, ConfigError, OSError)
"""Why there is nobody to ask. It may be otherwise for the next message."""


def _told(error: Exception) -> str:
    if isinstance(error, Unreachable):
        return say("chat.unreachable", message=error)
    return told(error)


def written(conversation: Conversation, *, as_json: bool) -> str:
    """The conversation as a file's text: JSON, or Markdown."""
    if as_json:
        return msgspec.json.format(msgspec.json.encode(conversation), indent=2).decode() + "\n"
    said = [f"# {conversation.model}"]
    if conversation.system:
        said += ["## system", conversation.system]
    for message in conversation.messages:
        said += [f"## {message.role}", *(f"[{name}]" for name in message.images), message.text]
    return "\n\n".join(said) + "\n"


def _note(text: str) -> None:
    """Something beside the conversation, dimmed."""
    print(text if is_dumb() else f"\x1b[2m{text}\x1b[0m")


@contextlib.contextmanager
def _lines_kept(file: Path | None) -> Iterator[None]:
    """The lines of earlier conversations at hand, and those of this one kept for the next."""
    readline.set_history_length(_MOST_LINES)
    if file is not None:
        with contextlib.suppress(OSError):  # there is none yet, or it cannot be read
            readline.read_history_file(file)
    try:
        yield
    finally:
        if file is not None:
            with contextlib.suppress(OSError):  # the conversations themselves have said so already
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file.touch(mode=0o600)
                readline.write_history_file(file)
