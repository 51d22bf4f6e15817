"""Paths: what every known client asks for, and what the gateway asks of an upstream."""

from __future__ import annotations

import pytest

from thalweg.canon.errors import InvalidRequest
from thalweg.dialects.gemini.target import Target, plain_model, read_target, write_target

READ = {
    "google-genai 3": (
        b"/v1/models/gemini-3.1-flash:streamGenerateContent?alt=sse",
        Target("gemini-3.1-flash", True, "sse"),
    ),
    "google-genai 2, whole": (b"/v1beta/models/gemini-3:generateContent", Target("gemini-3", False, "sse")),
    "v1alpha": (b"/v1alpha/models/g:generateContent", Target("g", False, "sse")),
    "a raw slash": (b"/v1/models/google/g1:generateContent", Target("google/g1", False, "sse")),
    "the AI SDK, without a folder": (
        b"/v1beta/acme/g1:streamGenerateContent?alt=sse",
        Target("acme/g1", True, "sse"),
    ),
    "an escaped slash and colon": (b"/v1/models/a%2Fb%3Afree:generateContent", Target("a/b:free", False, "sse")),
    "a colon in the model": (b"/v1/models/deepseek/r1:free:generateContent", Target("deepseek/r1:free", False, "sse")),
    "an escaped colon before the verb": (b"/v1/models/g%3AgenerateContent", Target("g", False, "sse")),
    "no alt": (b"/v1beta/models/g:streamGenerateContent", Target("g", True, "json-array")),
    "another alt": (b"/v1beta/models/g:streamGenerateContent?alt=json&key=K", Target("g", True, "json-array")),
    "alt behind the key": (b"/v1beta/models/g:streamGenerateContent?key=K&alt=SSE", Target("g", True, "sse")),
    "alt with a dollar": (b"/v1beta/models/g:streamGenerateContent?%24alt=sse", Target("g", True, "sse")),
    "alt means nothing to a whole answer": (b"/v1/models/g:generateContent?alt=sse", Target("g", False, "sse")),
    "Vertex": (b"/v1beta1/publishers/google/models/g:generateContent", Target("g", False, "sse")),
    "Vertex, another publisher": (
        b"/v1beta1/projects/p/locations/l/publishers/acme/models/g:generateContent",
        Target("acme/g", False, "sse"),
    ),
    "a publisher behind models/": (
        b"/v1/models/publishers/google/models/g:generateContent",
        Target("g", False, "sse"),
    ),
    "a tuned model": (b"/v1beta/tunedModels/t:generateContent", Target("tunedModels/t", False, "sse")),
    "below a mount": (b"/gemini/v1/models/g:generateContent", Target("g", False, "sse")),
    "v1 in the model": (b"/v1/models/v1/x:generateContent", Target("v1/x", False, "sse")),
}


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_a_target_says_model_verb_and_framing(case: tuple[bytes, Target]) -> None:
    target, expected = case
    assert read_target(target) == expected


@pytest.mark.parametrize("target", [b"/v1/models/g", b"/v1/models/g:countTokens", b"/", b"/v1/models/g:"])
def test_what_is_no_generation_is_refused(target: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_target(target)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("models/g", "g"), ("g", "g"), ("publishers/google/models/g", "g"), ("publishers/a/models/b/c", "a/b/c")],
)
def test_a_models_name_is_without_its_folder(name: str, plain: str) -> None:
    assert plain_model(name) == plain


WRITTEN = {
    "whole": ("g", False, b"/v1beta/models/g:generateContent"),
    "a stream is always SSE": ("g", True, b"/v1beta/models/g:streamGenerateContent?alt=sse"),
    "a slash and a colon stand": ("a/b:free", False, b"/v1beta/models/a/b:free:generateContent"),
    "a folder of its own": ("tunedModels/t", False, b"/v1beta/tunedModels/t:generateContent"),
    "a publisher": ("publishers/a/models/b", False, b"/v1beta/publishers/a/models/b:generateContent"),
    "nothing ends the path": ("g?x#y z\r\n", False, b"/v1beta/models/g%3Fx%23y%20z%0D%0A:generateContent"),
    "nothing leaves the folder": ("../../x/./y", False, b"/v1beta/models/%2E%2E/%2E%2E/x/%2E/y:generateContent"),
    "dots in names stand": ("gemini-3.1-pro..x", False, b"/v1beta/models/gemini-3.1-pro..x:generateContent"),
    "other letters": ("深", False, b"/v1beta/models/%E6%B7%B1:generateContent"),
}


@pytest.mark.parametrize("case", WRITTEN.values(), ids=WRITTEN)
def test_a_target_is_written(case: tuple[str, bool, bytes]) -> None:
    model, stream, expected = case
    assert write_target(b"/v1beta/", model, stream=stream) == expected
