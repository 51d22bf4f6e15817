"""Log probabilities: Gemini's `logprobsResult` and Chat's shape, which the canon has."""

from __future__ import annotations

from typing import Any


def logprobs_to_canon(result: Any) -> dict[str, Any] | None:
    """Chat's shape of one `logprobsResult`; `None` where it holds nothing."""
    if not isinstance(result, dict):
        return None
    chosen, tops = _list(result.get("chosenCandidates")), _list(result.get("topCandidates"))
    tokens = []
    for at, each in enumerate(chosen):
        if token := _token(each):
            others = tops[at].get("candidates") if at < len(tops) and isinstance(tops[at], dict) else None
            tokens.append(token | {"top_logprobs": [found for other in _list(others) if (found := _token(other))]})
    return {"content": tokens} if tokens else None


def logprobs_to_wire(logprobs: Any) -> dict[str, Any] | None:
    """One `logprobsResult` of Chat's shape; `None` where that holds nothing."""
    tokens = _list(logprobs.get("content")) if isinstance(logprobs, dict) else []
    tokens = [token for token in tokens if isinstance(token, dict)]
    if not tokens:
        return None
    wire: dict[str, Any] = {"chosenCandidates": [_written(token) for token in tokens]}
    tops = [[_written(other) for other in _list(token.get("top_logprobs"))] for token in tokens]
    if any(tops):
        wire["topCandidates"] = [{"candidates": top} for top in tops]
    return wire


def _token(each: Any) -> dict[str, Any] | None:
    if not isinstance(each, dict) or not isinstance(each.get("token"), str):
        return None
    said = each.get("logProbability")
    return {
        "token": each["token"],
        "logprob": float(said) if isinstance(said, int | float) else 0.0,
        "bytes": list(each["token"].encode("utf-8", "replace")),
    }


def _written(token: Any) -> dict[str, Any]:
    token = token if isinstance(token, dict) else {}
    return {"token": token.get("token"), "logProbability": token.get("logprob")}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
