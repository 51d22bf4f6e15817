"""Generation: from a client's request to the course that answers it. The one way for every dialect's endpoint."""

from __future__ import annotations

import logging

from thalweg.canon.errors import GatewayError, Internal, InvalidRequest, TooLarge, Unavailable, UnsupportedMedia
from thalweg.canon.scrub import blame
from thalweg.dialects.base import Dialect
from thalweg.relay.budget import Share, no_room
from thalweg.relay.course import Course, Left
from thalweg.server.attempt import Arrival, Asking, Fields
from thalweg.server.house import House, new_stream_id
from thalweg.server.meter import Observer
from thalweg.server.streaming import AsgiClient, ClientGone, read_body
from thalweg.server.wire import HOP, Headers, Receive, Scope, Send, send_answer
from thalweg.server.wishes import wishes_of

_log = logging.getLogger("thalweg.server")
_MOST_ID_BYTES = 128


class LoopFound(InvalidRequest):
    """The request has been through this gateway already."""

    http_status = 508


class Generation:
    """An ASGI application for one dialect's generation endpoint."""

    def __init__(self, house: House, dialect: Dialect) -> None:
        self._house = house
        self._dialect = dialect
        self._most_bytes = house.settings.limits.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every error is said in the dialect."""
        stream_id = new_stream_id()
        fields: Fields = dict(scope["headers"])
        headers = _own_headers(fields, stream_id)
        observer = Observer(self._house, scope, stream_id, headers, self._dialect.name)
        share = Share(self._house.budget)
        arrival = Arrival(scope, fields, stream_id, headers, observer, share, receive, AsgiClient(scope, send))
        try:
            course = await self._taken(arrival, send)
            if course is not None:
                await self._run(course, arrival, send)
        finally:
            share.close()

    async def _taken(self, arrival: Arrival, send: Send) -> Course | None:
        """The course of a request; `None` where it was refused, or its client has gone."""
        observer, stream_id = arrival.observer, arrival.stream_id
        try:
            if b"traceparent" in arrival.fields:
                observer.traced()
            observer.caller = self._house.current.doorkeeper.identify(arrival.scope)
            self._refuse_early(arrival.fields)
            wishes = wishes_of(arrival.fields)
            body = await read_body(arrival.receive, most_bytes=self._most_bytes, share=arrival.share)
            if self._house.live.draining:  # once more: a body may take its time
                raise _going()
            asked = self._dialect.read_request(body, _target(arrival.scope))
            observer.model = asked.model
            asking = Asking(self._house, self._dialect, arrival, asked=asked, body=body, wishes=wishes)
            return Course(await asking.first(), asking.pump)
        except ClientGone:
            observer.abandoned()
        except GatewayError as error:
            observer.rejected(error, await self._refuse(send, error, arrival.headers))
        except Exception as error:  # noqa: BLE001  # the edge of the request: a bug becomes an id, its text goes nowhere
            _log.error("request %s failed: %s", stream_id, blame(error), extra={"stream_id": stream_id})
            bug = Internal(f"Something went wrong here. Look for {stream_id} in the log.")
            observer.rejected(bug, await self._refuse(send, bug, arrival.headers))
        return None

    async def _run(self, course: Course, arrival: Arrival, send: Send) -> None:
        live, observer = self._house.live, arrival.observer
        assert observer.caller is not None
        live.add(arrival.stream_id, course, observer.caller, arrival.client)
        end_watch = arrival.client.watch(arrival.receive, course.client_left)
        try:
            error = await course.run()
            if error is not None:
                told = course.exchange.status
                observer.given_up(await self._refuse(send, error, arrival.headers) if told is None else told)
        except Left:
            observer.given_up(course.exchange.status)
        finally:
            end_watch()
            live.remove(arrival.stream_id)

    def _refuse_early(self, fields: Fields) -> None:
        """What can be refused before the body is read."""
        if self._house.live.draining:
            raise _going()
        if self._house.budget.spent:
            raise no_room()
        if HOP in fields:
            raise LoopFound("The request has come back to this gateway: an upstream's address leads here.")
        if fields.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMedia("Compressed request bodies are not taken.")
        length = fields.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most_bytes:
            raise TooLarge(f"The request's body is larger than {self._most_bytes} bytes.")

    async def _refuse(self, send: Send, error: GatewayError, headers: Headers) -> int:
        """Say the error; the status that it was said with."""
        said = self._dialect.encode_error(error)
        await send_answer(send, said.status, said.headers + headers, said.body)
        return said.status


def _going() -> Unavailable:
    error = Unavailable("The gateway is shutting down.")
    error.retry_after_s = 1
    return error


def _target(scope: Scope) -> bytes:
    """Path and query as they came."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _own_headers(fields: Fields, stream_id: str) -> Headers:
    """The headers that every answer carries: the stream's name, and the request's ids."""
    name = stream_id.encode()
    return ((b"x-thalweg-stream", name), *request_ids(fields, name))


def request_ids(fields: Fields, own: bytes) -> Headers:
    """The ids that the client sent, to go back to it; without one of its own the request has ours."""
    request_id, client_id = fields.get(b"x-request-id", own), fields.get(b"x-client-request-id")
    ids: Headers = ((b"x-request-id", request_id if request_id is own or _is_id(request_id) else own),)
    return ids if client_id is None or not _is_id(client_id) else (*ids, (b"x-client-request-id", client_id))


def _is_id(value: bytes) -> bool:
    return 0 < len(value) <= _MOST_ID_BYTES and value.isascii() and all(0x20 < byte < 0x7F for byte in value)
