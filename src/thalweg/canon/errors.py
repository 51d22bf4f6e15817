"""What can go wrong, as one tree. No wire format may live here: each dialect says these in its own words.

    GatewayError
    ├── RequestError             the client asked for something wrong
    │   ├── InvalidRequest       400  a field is wrong; `param` names it
    │   ├── UnsupportedParameter 400  a field is right but cannot be honoured
    │   ├── ContextTooLong       400  the prompt does not fit the model
    │   ├── Unauthenticated      401  no key, or a wrong one
    │   ├── QuotaExhausted       402  the key's money is spent
    │   ├── Forbidden            403  the key may not do this
    │   ├── NotFound             404  no such model, path or object
    │   ├── MethodNotAllowed     405  the path is there, the method is not
    │   ├── Conflict             409  the object is not in a state for this
    │   ├── TooLarge             413  more bytes than the gateway takes
    │   ├── UnsupportedMedia     415  a body that is not JSON, or an encoding we do not read
    │   ├── RequestTimeout       408  the client took too long to send its request
    │   ├── RateLimited          429  too many requests; `retry_after_s` says when
    │   └── Cancelled            499  somebody cancelled this answer
    ├── UpstreamError            the upstream did something wrong
    │   ├── UpstreamUnreachable  502  name, route, TLS or connection failed
    │   ├── UpstreamTimeout      504  nothing came in time; `phase` names the wait
    │   ├── UpstreamRefused      by status  it answered with a status of its own
    │   ├── UpstreamFailed       502  it said an error after a good status
    │   └── UpstreamBroke        502  it broke HTTP, its dialect, or off in the middle
    └── OurError                 the gateway cannot
        ├── Unavailable          503  draining, or the ledger cannot be written
        └── Internal             500  a bug

Messages never hold a key, a prompt or an answer.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """The root. `message` is for people; the class and its fields are for programs."""

    http_status: ClassVar[int] = 500
    kind: str = "server"
    """The class of the fault in mapping terms, the same word in the ledger and the metrics."""
    retryable: bool = False
    """Whether another attempt, at the same or another upstream, makes sense."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The request field at fault, as a path such as `messages[0].role`."""
        self.code = code
        """A stable code; `None` lets the dialect choose the one it has for `kind`."""
        self.retry_after_s: float | None = None
        """Seconds after which another try makes sense; `None` when nobody said."""

    @property
    def status(self) -> int:
        """The HTTP status the client gets when the answer has not begun."""
        return self.http_status


class RequestError(GatewayError):
    """The client asked for something wrong. Another attempt makes no sense."""

    http_status = 400
    kind = "invalid_request"


class InvalidRequest(RequestError):
    """A field has the wrong type or value; `param` names it."""


class UnsupportedParameter(RequestError):
    """A field is well formed but cannot be honoured here."""

    kind = "unsupported"


class ContextTooLong(RequestError):
    """The prompt does not fit the model's context."""

    kind = "context_length"


class Unauthenticated(RequestError):
    """No key, or a wrong one."""

    http_status = 401
    kind = "auth"


class QuotaExhausted(RequestError):
    """The key's money is spent."""

    http_status = 402
    kind = "billing"


class Forbidden(RequestError):
    """The key, or this place, may not do this."""

    http_status = 403
    kind = "permission"


class NotFound(RequestError):
    """No such model, path or object, or not this caller's."""

    http_status = 404
    kind = "not_found"


class MethodNotAllowed(RequestError):
    """The path is there, the method is not."""

    http_status = 405
    kind = "invalid_request"


class RequestTimeout(RequestError):
    """The client took too long to send its request."""

    http_status = 408
    kind = "request_timeout"


class Conflict(RequestError):
    """The object is not in a state for this."""

    http_status = 409
    kind = "conflict"


class TooLarge(RequestError):
    """More bytes than the gateway takes."""

    http_status = 413
    kind = "too_large"


class UnsupportedMedia(RequestError):
    """A body that is not JSON, or an encoding we do not read."""

    http_status = 415
    kind = "unsupported_media"


class RateLimited(RequestError):
    """Too many requests; `retry_after_s` says when to come back."""

    http_status = 429
    kind = "rate_limit"


class Cancelled(RequestError):
    """Somebody cancelled this answer."""

    http_status = 499
    kind = "cancelled"


class UpstreamError(GatewayError):
    """The upstream did something wrong. `provider` names who runs it; never its key."""

    http_status = 502
    kind = "upstream_bad"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        param: str | None = None,
        code: str | None = None,
        provider_type: str | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.provider = provider
        self.provider_type = provider_type
        """The provider's own word for the kind of fault (`error.type`); `None` when it gave none."""


class UpstreamUnreachable(UpstreamError):
    """Name, route, TLS or connection failed: nothing was asked of the upstream."""

    kind = "unreachable"


class UpstreamTimeout(UpstreamError):
    """Nothing came in time. `phase` is one of `connect`, `first_byte`, `first_content`, `gap`, `floor`, `whole`."""

    http_status = 504
    kind = "timeout"

    def __init__(self, message: str, *, phase: str, provider: str | None = None) -> None:
        super().__init__(message, provider=provider)
        self.phase = phase


class UpstreamRefused(UpstreamError):
    """The upstream answered with an HTTP status of its own, `upstream_status`, instead of an answer."""

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int,
        kind: str,
        status: int,
        retryable: bool,
        provider: str | None = None,
        param: str | None = None,
        code: str | None = None,
        provider_type: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, param=param, code=code, provider_type=provider_type)
        self.upstream_status = upstream_status
        self.kind = kind
        self.retryable = retryable
        self._status = status

    @property
    def status(self) -> int:
        """The status the client gets; an upstream's 401, 402 and 403 are never the client's own."""
        return self._status


class UpstreamFailed(UpstreamError):
    """The upstream said an error after it had answered with a good status."""

    kind = "upstream_error"


class UpstreamBroke(UpstreamError):
    """The upstream broke HTTP, broke its dialect, or broke off in the middle."""

    kind = "upstream_broke"


class OurError(GatewayError):
    """The gateway cannot do it, and it is nobody else's fault."""


class Unavailable(OurError):
    """Draining, overloaded, or the ledger cannot be written."""

    http_status = 503
    kind = "overloaded"
    retryable = True


class Internal(OurError):
    """A bug. The message gives an id to look for in the log, never the text of the exception."""
