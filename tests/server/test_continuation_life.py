"""What becomes of a text that broke off when its client leaves, somebody stops it, or another route runs beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.server.gateway import PATIENCE_S, Caller, Running, ask, request, running, settings_of
from tests.server.gateway import _whole_request as whole_request
from tests.server.test_attempts import CLIENTS, ENDS, Silent, Two
from tests.server.test_continuation import GRAMMARS, HEAD, WHOLE, WORDS, read, text_of
from tests.server.test_metrics import look
from thalweg.canon.errors import Unavailable
from thalweg.canon.policy import Alias, Attempts, Route
from thalweg.client.codecs import decode
from thalweg.ledger.entry import Reservation, Settlement
from thalweg.server.log import Log

GRAMMAR = GRAMMARS["moonshot"]
MODEL = "moonshot/kimi-k3"
Act = Callable[[socket.socket], None]


def says(*words: str, more: bytes = b"") -> Act:
    data = HEAD + GRAMMAR.begin + b"".join(map(GRAMMAR.word, words)) + more
    return lambda connection: connection.sendall(data)


def until_closed(connection: socket.socket) -> None:
    """Wait until the other side has closed it."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass


BREAKS_OFF = [says(*WORDS[:3])]
SAYS_NOTHING = [says()]
GOES_ON = [says(*WORDS[3:], more=GRAMMAR.end)]
STAYS = [says(WORDS[3]), until_closed]


class Stage:
    """A provider that does what a script says, one connection after the other, and a gateway in front of it."""

    def __init__(self, *script: list[Act], second: str = "", **rules: Any) -> None:
        self.asked = [threading.Event() for _ in script]
        self.done = [threading.Event() for _ in script]
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._rules = {"backoff_s": 0.001, "cool_down_after": 0, "continuations": 2} | rules
        self._second = second
        self.logged: list[bytes] = []
        self.gateway: Running
        self.gate = asyncio.Event()
        """What the ledger waits for before a further attempt, where a test has it do so."""

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Stage]:
        url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        settings = settings_of(
            MOONSHOT_BASE_URL=url,
            MOONSHOT_API_KEY="a-key-of-the-gateway",
            THALWEG_PROVIDER_SECOND_BASE_URL=self._second or url,
        )
        both = Alias(name="both", routes=(Route(model=MODEL), Route(model="second/m")))
        settings = replace(settings, attempts=Attempts(**self._rules), aliases={"both": both})
        self._spawn(self._serve)
        try:
            with running(settings, log=Log(self.logged.append)) as self.gateway:
                yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for thread in self._threads:
                thread.join(PATIENCE_S)

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            for at in range(len(self._script)):
                self._spawn(self._play, at, self._listener.accept()[0])

    def _play(self, at: int, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE_S)
            whole_request(connection)
            self.asked[at].set()
            for act in self._script[at]:
                act(connection)
        self.done[at].set()

    def hold_ledger(self) -> threading.Event:
        """Have the ledger wait with the entry of a further attempt, until `gate` is set. Returns what says that it
        waits.
        """
        waits, opened = threading.Event(), self.gateway.ledger.open

        async def open_later(reservation: Reservation) -> None:
            if reservation.attempt > 1:
                waits.set()
                await self.gate.wait()
            await opened(reservation)

        self.gateway.ledger.open = open_later
        return waits

    def release(self) -> None:
        async def go() -> None:
            self.gate.set()

        self.gateway.run(go())

    def send(self, caller: Caller, client: str = "chat", model: str = MODEL) -> Caller:
        path, body = CLIENTS[client]
        target = path.format(model=model, verb="streamGenerateContent?alt=sse")
        return caller.send(request(target, json.dumps(body(model, True)).encode(), headers={"connection": "close"}))

    def course(self) -> Any:
        [stream_id] = self.gateway.gateway.house.live.ids
        return self.gateway.gateway.house.live._streams[stream_id].course

    def stop(self) -> Any:
        [stream_id] = self.gateway.gateway.house.live.ids
        return ask(self.gateway.port, f"/streams/{stream_id}", method="DELETE")

    def shut_down(self) -> None:
        course = self.course()

        async def go() -> None:
            course.shut_down(Unavailable("The gateway is shutting down."))

        self.gateway.run(go())

    def entry(self) -> list[str]:
        return [outcome for _, _, outcome in Two(self.gateway).entry()]

    def check_nothing_is_left(self) -> None:
        house = self.gateway.gateway.house
        self.gateway.until(lambda: not house.live.ids and house.budget.taken_bytes == 0)
        postings = self.gateway.ledger.postings
        reserved = [each.attempt for each in postings if isinstance(each, Reservation)]
        settled = [each.attempt for each in postings if isinstance(each, Settlement)]
        assert sorted(reserved) == sorted(settled) == list(range(1, len(reserved) + 1))


def waits_in_the_pause(stage: Stage) -> None:
    """The second attempt came to nothing, and the third is to be made in a while."""
    live = stage.gateway.gateway.house.live

    def pauses() -> bool:
        courses = [each.course for each in live._streams.values()]
        return any(each._pause is not None and each.exchange.plan.beginning is not None for each in courses)

    stage.gateway.until(pauses)


PAUSED = (BREAKS_OFF, SAYS_NOTHING, GOES_ON)


# The client leaves.


def test_a_client_that_leaves_in_the_pause_ends_it() -> None:
    with Stage(*PAUSED, backoff_s=10, backoff_most_s=10)() as stage:
        with Caller(stage.gateway.port) as caller:
            stage.send(caller)
            waits_in_the_pause(stage)
        stage.gateway.until(lambda: not stage.gateway.gateway.house.live.ids)
        assert stage.entry() == ["upstream_error", "upstream_error"]
        stage.check_nothing_is_left()
        stage.gateway.until(lambda: stage.logged)
        [line] = map(json.loads, stage.logged)
        assert (line["status"], line["attempts"], line["continued"]) == (200, 2, 1)
        assert not stage.asked[2].is_set()


@pytest.mark.parametrize("first", [BREAKS_OFF, SAYS_NOTHING], ids=["gone on with", "tried again"])
def test_a_client_that_leaves_while_the_next_attempt_is_made_is_not_asked_for(first: list[Act]) -> None:
    with Stage(first, GOES_ON)() as stage:
        waits = stage.hold_ledger()
        with Caller(stage.gateway.port) as caller:
            stage.send(caller)
            assert waits.wait(PATIENCE_S)
        course = stage.course()
        stage.gateway.until(lambda: course._gone)
        stage.release()
        assert stage.entry() == ["upstream_error", "cancelled"]
        stage.check_nothing_is_left()
        assert not stage.asked[1].is_set()


def test_a_client_that_leaves_while_it_is_gone_on_with_closes_the_upstream() -> None:
    with Stage(BREAKS_OFF, STAYS)() as stage:
        with Caller(stage.gateway.port) as caller:
            stage.send(caller).reply_head()
            said = b""
            chunks = caller.chunks()
            while b'" wide"' not in said and b'" is"' not in said:
                said += next(chunks)
            assert stage.asked[1].wait(PATIENCE_S)
        assert stage.done[1].wait(PATIENCE_S)
        assert stage.entry() == ["upstream_error", "cancelled"]
        closed_ms = stage.gateway.ledger.postings[-1].upstream_closed_ms
        assert closed_ms is not None and closed_ms < 100
        stage.check_nothing_is_left()


# Somebody stops it.


def told_once(client: str, answer: bytes) -> None:
    """A begun stream ends with one error in its dialect, and never like a good one."""
    response = read(client, answer)
    assert response.error is not None
    assert WHOLE.startswith(text_of(response)) and text_of(response)
    assert ENDS[client] not in answer.replace(b'"finishReason":null', b"")
    assert answer.endswith(b"\r\n0\r\n\r\n")
    assert answer.count(b'"error":{') == 1 + answer.count(b'"type":"response.failed"')


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("how", ["stop", "shut_down"])
@pytest.mark.parametrize("when", ["in the pause", "while it is made", "while it is gone on with"])
def test_an_answer_that_is_stopped_says_so_once(client: str, how: str, when: str) -> None:
    scripts = {
        "in the pause": PAUSED,
        "while it is made": (BREAKS_OFF, GOES_ON),
        "while it is gone on with": (BREAKS_OFF, STAYS),
    }
    with (
        Stage(*scripts[when], backoff_s=10, backoff_most_s=10)() as stage,
        Caller(stage.gateway.port) as caller,
    ):
        waits = stage.hold_ledger()
        if when != "while it is made":
            stage.release()
        stage.send(caller, client)
        if when == "in the pause":
            waits_in_the_pause(stage)
        elif when == "while it is made":
            assert waits.wait(PATIENCE_S)
        else:
            assert stage.asked[1].wait(PATIENCE_S)
            course = stage.course()
            stage.gateway.until(lambda: course.exchange.plan.beginning and course.exchange.watch.content_seen)
        replies: list[Any] = []
        stopping = threading.Thread(target=lambda: replies.append(getattr(stage, how)()))
        stopping.start()
        if when == "while it is made":
            course = stage.course()
            stage.gateway.until(lambda: course._stopped)
            stage.release()
        told_once(client, caller.rest())
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()
        stage.check_nothing_is_left()
        if how == "stop":
            [entry] = stage.gateway.ledger.last_entries(1)
            told = replies[0].json
            assert (told["tokens"], told["source"]) == (entry.usage.output_tokens, entry.usage_source)
        assert not stage.asked[-1].is_set() or when == "while it is gone on with"


# Another route.


def test_the_first_of_two_at_once_is_gone_on_with_where_it_was() -> None:
    with Silent() as second:

        def slow(_: socket.socket) -> None:
            second.until_asked()

        with (
            Stage([slow, *BREAKS_OFF], GOES_ON, second=second.url, hedge_after_s=0.05)() as stage,
            Caller(stage.gateway.port) as caller,
        ):
            stage.send(caller, model="both")
            assert text_of(read("chat", caller.rest())) == WHOLE
            second.until_closed()
            assert Two(stage.gateway).entry() == [
                ("moonshot", 1, "upstream_error"),
                ("second", 2, "cancelled"),
                ("moonshot", 3, "complete"),
            ]
            stage.check_nothing_is_left()


def test_a_text_of_an_alias_s_first_route_is_gone_on_with_there() -> None:
    with Silent() as second, Stage(BREAKS_OFF, SAYS_NOTHING, GOES_ON, second=second.url)() as stage:
        with Caller(stage.gateway.port) as caller:
            stage.send(caller, model="both")
            assert text_of(read("chat", caller.rest())) == WHOLE
        assert [provider for provider, _, _ in Two(stage.gateway).entry()] == ["moonshot"] * 3
        page = look(stage.gateway)
        assert page.value("continuations_total", upstream="moonshot") == 2
        assert page.value("failovers_total") == 0
        assert page.value("requests_total") == 1
        stage.check_nothing_is_left()


# A client that does not read.

MANY = tuple(f"{number:06} " * 128 for number in range(3_000))
"""Words of an answer of some 2.7 MB."""


@pytest.mark.parametrize("client", CLIENTS)
def test_a_slow_client_gets_all_of_the_first_before_any_of_the_next(client: str) -> None:
    cut = len(MANY) - 20
    with Stage([says(*MANY[:cut])], [says(*MANY[cut:], more=GRAMMAR.end)])() as stage:
        with Caller(stage.gateway.port) as caller:
            stage.send(caller, client)
            caller.reply_head()
            course = stage.course()
            most = []

            def is_held_back() -> bool:
                most.append(course.exchange.pending_bytes + course.exchange._underway)
                return bool(course._pump._paused)

            stage.gateway.until(is_held_back)
            assert not stage.asked[1].is_set()
            body = b"".join(caller.chunks())
        assert max(most) <= 256 * 1024
        name = {"chat": "openai-chat", "responses": "openai-responses"}.get(client, client)
        response = decode(body, name)
        assert (response.error, text_of(response)) == (None, "".join(MANY))
        assert stage.entry() == ["upstream_error", "complete"]
        stage.check_nothing_is_left()


def test_of_many_that_broke_off_nothing_is_left() -> None:
    rounds = 8
    with Stage(*[BREAKS_OFF, GOES_ON] * rounds)() as stage:
        house = stage.gateway.gateway.house
        counts: list[tuple[int, int]] = []
        for _ in range(rounds):
            with Caller(stage.gateway.port) as caller:
                stage.send(caller)
                assert text_of(read("chat", caller.rest())) == WHOLE
            stage.gateway.until(lambda: not house.live.ids and not stage.gateway.connections)
            counts.append((stage.gateway.run(tasks()), len([*Path("/proc/self/fd").iterdir()])))
        assert counts[-1][0] <= counts[0][0]
        # The upstream's side of a connection may be closed a little later.
        assert counts[-1][1] <= counts[0][1] + 2
        assert house.budget.held_bytes == 0


async def tasks() -> int:
    return len(asyncio.all_tasks())
