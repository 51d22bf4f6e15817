"""`thalweg chat`: one answer, or a conversation on a terminal."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from thalweg.cli.bounds import bounded
from thalweg.cli.connection import Connection, Unreachable
from thalweg.cli.mistakes import with_guess
from thalweg.cli.pictures import NoImage, read_image
from thalweg.cli.session import Conversations, Image, Sampling, Session, new_conversation
from thalweg.cli.talk import FAILED, UNREACHABLE, Manner, Talk, complain, remark
from thalweg.cli.told import told
from thalweg.cli.visible import readable
from thalweg.cli.words import explain, say
from thalweg.config import load_client
from thalweg.ledger.entry import LedgerError
from thalweg.profiles.providers import PROVIDERS, SIMULATOR, SIMULATORS

WRONG_USAGE = 2
_WITHOUT_ANY = "sim/text"
"""The model where nothing names one and no provider is set up."""

Effort = Literal["none", "minimal", "low", "medium", "high"]


def chat(
    *words: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    model: Annotated[str | None, explain("chat.model"), Parameter(alias="-m", metavar="NAME")] = None,
    system: Annotated[str | None, explain("chat.system"), Parameter(alias="-s", metavar="TEXT")] = None,
    image: Annotated[tuple[Path, ...], explain("chat.image"), Parameter(alias="-i", metavar="FILE")] = (),
    temperature: Annotated[float | None, explain("chat.temperature"), Parameter(metavar="T"), bounded(0, 100)] = None,
    max_tokens: Annotated[
        int | None, explain("chat.max_tokens"), Parameter(metavar="N"), bounded(1, 10_000_000)
    ] = None,
    effort: Annotated[Effort | None, explain("chat.effort"), Parameter(metavar="LEVEL")] = None,
    continue_: Annotated[bool, explain("chat.continue"), Parameter(name=("--continue", "-c"))] = False,
    no_save: Annotated[bool, explain("chat.no_save"), Parameter(negative=())] = False,
    plain: Annotated[bool, explain("chat.plain")] = False,
    json: Annotated[bool, explain("chat.json")] = False,
    verbose: Annotated[bool, explain("chat.verbose"), Parameter(alias="-v")] = False,
    url: Annotated[str | None, explain("chat.url"), Parameter(metavar="URL")] = None,
    home: Annotated[Path | None, explain("chat.home"), Parameter(metavar="FOLDER")] = None,
) -> int:
    """Talk to a model: `chat.help` among the words says how."""
    if wrong := next((word for word in words if _is_option(word)), None):
        return _refuse_option(wrong)
    client = load_client(url=url, home=home)
    wish = Wish(
        model=readable(model) if model else None,
        system=system and readable(system),
        files=image,
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens, effort=effort),
        goes_on=continue_,
    )
    manner = Manner(plain=plain, json=json, verbose=verbose)
    conversations = Conversations(client.home, kept=not no_save)
    try:
        with Connection(client, waits=_waits) as connection, Talk(connection, manner) as talk:
            return _Chat(talk, conversations, wish, client.model).run([readable(word) for word in words])
    except NoImage as error:
        complain(str(error))
        return WRONG_USAGE
    except Unreachable as error:
        complain(say("chat.unreachable", message=error))
        return UNREACHABLE
    except (LedgerError, TimeoutError) as error:
        complain(told(error))
    except OSError as error:
        if not error.filename:
            raise  # it is about our output, and told where all commands' is
        complain(say("serve.cannot_use", file=error.filename, why=error.strerror))
    return FAILED


def _waits() -> None:
    remark(say("chat.shared"))


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the options say of the conversation."""

    model: str | None
    system: str | None
    files: tuple[Path, ...]
    sampling: Sampling
    goes_on: bool
    """Whether the last conversation goes on."""


class _Chat:
    """One run of the command."""

    def __init__(self, talk: Talk, conversations: Conversations, wish: Wish, usual_model: str | None) -> None:
        self._talk = talk
        self._conversations = conversations
        self._wish = wish
        self._usual_model = usual_model

    def run(self, words: Sequence[str]) -> int:
        """Answer, or converse; the exit code. Raises `NoImage`, and as `Talk.ask` does."""
        images = [read_image(file) for file in self._wish.files]
        named, rest = (self._wish.model, list(words)) if self._wish.model else split_model(words, self._talk)
        if not rest and self._talk.manner.converses:
            # Reading lines with a history is for conversations alone.
            from thalweg.cli.prompt import Prompt

            return Prompt(self._talk, self._session(named), self._conversations, images).run()
        prompt = read_prompt(rest)
        if not prompt.strip() and not images:
            complain(say("chat.no_prompt"))
            return WRONG_USAGE
        return self._once(self._session(named), prompt, images)

    def _once(self, session: Session, prompt: str, images: list[Image]) -> int:
        session.say(prompt, images)
        outcome = self._talk.ask(session)
        code = self._talk.tell(outcome, session)
        try:
            self._conversations.save(session.conversation)
        except OSError as error:  # the answer is there all the same
            complain(say("chat.not_kept", why=error.strerror))
        return code

    def _session(self, named: str | None) -> Session:
        """The last conversation with what is new about it, or a new one."""
        wish = self._wish
        last = self._conversations.last() if wish.goes_on else None
        if last is None:
            model = named or self._usual_model or _first_model(self._talk)
            return Session(new_conversation(model, wish.system), wish.sampling)
        last.model = named or last.model
        last.system = wish.system or last.system
        return Session(last, wish.sampling)


def _is_option(word: str) -> bool:
    """Whether a word is an option that is not there, and no prompt that happens to begin with a hyphen."""
    return word.startswith("-") and word != "-" and not any(char.isspace() for char in word)


def _refuse_option(word: str) -> int:
    options = (f"--{name.strip('_').replace('_', '-')}" for name in inspect.signature(chat).parameters)
    said = with_guess(say("main.unknown_option", name=word), word, options)
    complain(say("main.see", mistake=said, command="thalweg chat --help"))
    return WRONG_USAGE


def split_model(words: Sequence[str], talk: Talk) -> tuple[str | None, list[str]]:
    """The model, where the first word is one, and the rest. Raises as `Talk.models`.

    A name has no blanks and begins with a provider, or as the names of a provider's models do.
    """
    if words and _names_model(words[0], talk):
        return words[0], list(words[1:])
    return None, list(words)


def _names_model(word: str, talk: Talk) -> bool:
    if any(char.isspace() for char in word):
        return False
    vendor, slash, name = word.partition("/")
    if not slash:
        families = [row.model_prefixes for row in PROVIDERS if row.model_prefixes]
        return word.startswith(tuple(chain.from_iterable(families))) and any(char.isdigit() for char in word)
    if not (vendor and name):
        return False
    known = vendor in {row.name for row in PROVIDERS} | SIMULATORS.keys()
    return known or vendor in {listed.id.partition("/")[0] for listed in talk.models()}


def _first_model(talk: Talk) -> str:
    """The first one of a provider that is set up."""
    real = (listed for listed in talk.models() if not listed.id.startswith(f"{SIMULATOR.name}/"))
    return next((listed.id for listed in real if listed.configured), _WITHOUT_ANY)


def read_prompt(words: Sequence[str]) -> str:
    """The words, with standard input before them, or where a `-` stands among them."""
    if "-" in words:
        parts = [_stdin() if word == "-" else word for word in words]
        return "\n\n".join(part.strip("\n") for part in parts if part)
    asked = " ".join(words)
    piped = "" if sys.stdin.isatty() else _stdin()
    return "\n\n".join(part for part in (piped.strip("\n"), asked) if part.strip())


def _stdin() -> str:
    """All of standard input; what is no UTF-8 in it is replaced."""
    return sys.stdin.buffer.read().decode(errors="replace")
