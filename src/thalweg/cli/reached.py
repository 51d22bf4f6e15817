"""What `thalweg doctor` finds by asking providers: whether each can be reached, and takes its key."""

from __future__ import annotations

from collections.abc import Iterator

from thalweg.cli.machine import Finding, Machine, Status
from thalweg.config import ProviderSettings
from thalweg.server.ping import Pong


def pings(machine: Machine) -> Iterator[Finding]:
    """Whether the providers that are set up can be reached, and take their keys."""
    if not machine.pings or machine.settings is None:
        return
    settled = {each.row.name: each for each in machine.providers}
    for pong in machine.pongs:
        yield _judge(pong, settled[pong.provider])
    if not machine.pongs:
        yield Finding("note", "ping_nobody")


def _judge(pong: Pong, provider: ProviderSettings) -> Finding:
    values: dict[str, str | int] = {
        "title": provider.row.title,
        "status": pong.status or 0,
        "variable": provider.key_name or provider.row.base_url_variable,
        "base_url": provider.row.base_url_variable,
        "count": pong.models or 0,
        "time": round(pong.took_ms),
        "why": pong.error or "",
    }
    if pong.status is None:
        return Finding("fail", "ping_unreachable", values)
    if pong.refuses_key:
        return Finding("fail", "ping_refused", values)
    if pong.status == 200:
        return Finding("ok", "ping", values) if pong.models is not None else Finding("warn", "ping_odd", values)
    status, code = _OF_STATUS.get(pong.status, ("warn", "ping_status"))
    return Finding(status, code, values)


_OF_STATUS: dict[int, tuple[Status, str]] = {
    401: ("fail", "ping_refused"),
    402: ("warn", "ping_unpaid"),
    403: ("fail", "ping_refused"),
    404: ("warn", "ping_no_list"),
    429: ("ok", "ping_busy"),
}
