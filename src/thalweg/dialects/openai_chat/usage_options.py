"""How a Chat upstream is asked to report usage."""

from __future__ import annotations

from thalweg.profiles.base import Profile


def usage_options(profile: Profile, choices: int | None) -> list[str]:
    """The members of `stream_options` by which usage is asked for. In every chunk it is where there is one choice: of
    several, vLLM counts in a chunk that chunk's alone (its `chat_completion/serving.py`, read 2026-11).
    """
    every = [profile.chunk_usage] if profile.chunk_usage and (choices or 1) == 1 else []
    return ["include_usage", *every]
