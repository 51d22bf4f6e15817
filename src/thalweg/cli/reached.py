"""What `thalweg doctor` finds by asking providers: whether each can be reached, and takes its key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from statistics import median

from thalweg.cli.machine import Finding, Machine, Status
from thalweg.config import ProviderSettings
from thalweg.ledger.entry import LedgerError
from thalweg.server.ping import Pong
from thalweg.server.reach import Reached

_DAY_S = 86_400
_SOON_DAYS = 14
"""Certificates are renewed weeks before their end; one that has not been by then was forgotten."""
_FIRST_YEAR, _LAST_YEAR = 2025, 2100
_FUTURE_MS = 5 * 60 * 1000
_MOST_OFF_S = 60


def network(machine: Machine) -> Iterator[Finding]:
    """Whether there is a way to each provider that is set up: name, connection, TLS."""
    if machine.settings is None or not machine.set_up:
        return
    if machine.asking != "yes":
        yield Finding("note", _LEFT_OUT[machine.asking])
    settled = {each.row.name: each for each in machine.providers}
    for each in machine.reached:
        yield _judge_way(each, settled[each.providers[0]])


_LEFT_OUT = {"offline": "network_offline", "unasked": "network_unasked"}


def _judge_way(reached: Reached, provider: ProviderSettings) -> Finding:
    values: dict[str, str | int] = {
        "origin": reached.origin,
        "why": reached.why,
        "base_url": provider.row.base_url_variable,
        "proxy": reached.proxy,
        "addresses": reached.addresses,
        "time": round(reached.took_ms),
        "tls": reached.tls,
        "until": "",
        "days": 0,
    }
    if reached.failed is not None:
        return Finding("fail", _FAILED[reached.failed], values)
    if reached.certificate_ends_s is None:
        return Finding("ok", "network_proxy" if reached.proxy else "network_plain", values)
    days = int((reached.certificate_ends_s - time.time()) // _DAY_S)
    values |= {"until": time.strftime("%Y-%m-%d", time.gmtime(reached.certificate_ends_s)), "days": days}
    return Finding("warn" if days < _SOON_DAYS else "ok", "network_soon" if days < _SOON_DAYS else "network", values)


_FAILED = {"name": "network_name", "proxy": "network_way", "connect": "network_connect", "tls": "network_tls"}


def pings(machine: Machine) -> Iterator[Finding]:
    """Whether the providers that can be reached take their keys."""
    if machine.asking != "yes" or machine.settings is None:
        return
    settled = {each.row.name: each for each in machine.providers}
    for pong in machine.pongs:
        yield _judge(pong, settled[pong.provider])
    if not machine.set_up:
        yield Finding("note", "ping_nobody")


def _judge(pong: Pong, provider: ProviderSettings) -> Finding:
    values: dict[str, str | int] = {
        "title": provider.row.title,
        "status": pong.status or 0,
        "variable": provider.key_name or provider.row.base_url_variable,
        "base_url": provider.row.base_url_variable,
        "url": f"{provider.origin}{provider.base_path.decode()}",
        "count": pong.models or 0,
        "time": round(pong.took_ms),
        "why": pong.error or "",
    }
    status, code = _verdict(pong, provider)
    return Finding(status, code, values)


def _verdict(pong: Pong, provider: ProviderSettings) -> tuple[Status, str]:
    if pong.status is None:
        return "fail", "ping_unreachable"
    if pong.status >= 500:
        return "warn", "ping_trouble"
    if pong.is_page:
        # Also with 403: a firewall's page says nothing about a key.
        return "fail", "ping_page"
    if pong.refuses_key:
        return "fail", "ping_refused"
    if pong.status == 200:
        return _heard(pong, provider)
    if pong.status == 404 and provider.placed:
        return "fail", "ping_wrong_place"
    if 300 <= pong.status < 400:
        return "fail", "ping_moved"
    return _OF_STATUS.get(pong.status, ("warn", "ping_status"))


def _heard(pong: Pong, provider: ProviderSettings) -> tuple[Status, str]:
    if not provider.row.models_path:
        return "ok", "ping_token"
    return ("ok", "ping") if pong.models is not None else ("warn", "ping_odd")


_OF_STATUS: dict[int, tuple[Status, str]] = {
    401: ("fail", "ping_refused"),
    402: ("warn", "ping_unpaid"),
    403: ("fail", "ping_refused"),
    404: ("warn", "ping_no_list"),
    429: ("warn", "ping_busy"),
}


def clock(machine: Machine) -> Iterator[Finding]:
    """Whether the wall clock can be right, by the ledger, and by the clocks of the providers that answered."""
    now_ms = time.time_ns() // 1_000_000
    values: dict[str, str | int] = {"now": time.strftime("%Y-%m-%d %H:%M:%S %z")}
    off_s = _off_s(machine.pongs)
    if not _FIRST_YEAR <= time.gmtime().tm_year < _LAST_YEAR:
        yield Finding("fail", "clock_wrong", values)
    elif off_s is not None and abs(off_s) > _MOST_OFF_S:
        yield Finding("warn", "clock_fast" if off_s > 0 else "clock_slow", values | {"seconds": round(abs(off_s))})
    elif _last_ms(machine) > now_ms + _FUTURE_MS:
        yield Finding("warn", "clock_back", values)
    elif off_s is not None:
        yield Finding("ok", "clock_compared", values | {"count": sum(each.date is not None for each in machine.pongs)})
    else:
        yield Finding("ok", "clock", values)


def _last_ms(machine: Machine) -> int:
    try:
        return machine.last_entry.opened_ms if machine.ledger.exists() and machine.last_entry else 0
    except LedgerError:
        return 0


def _off_s(pongs: list[Pong]) -> float | None:
    """How far this clock is ahead of the providers', by the middle one of them; `None` where none told the time."""
    off = [pong.asked_at_s - told_s for pong in pongs if (told_s := date_s(pong.date)) is not None]
    return median(off) if off else None


def date_s(date: str | None) -> float | None:
    """The time of an HTTP date; `None` where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None
