"""A program: the official packages of OpenAI, Anthropic and Google list the gateway's models and look one up.

Runs in .venv-sdk. The name of the model to look up is its argument.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import OpenAI

URL, KEY = os.environ["BASE_URL"], os.environ["API_KEY"]


def of_openai(name: str) -> dict[str, Any]:
    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    one = client.models.retrieve(name)
    return {
        "names": [model.id for model in client.models.list()],
        "one": one.id,
        "price": (one.model_extra or {})["price"],
        "context": (one.model_extra or {})["context_window"],
    }


def of_anthropic(name: str) -> dict[str, Any]:
    client = Anthropic(base_url=f"{URL}/anthropic", api_key=KEY, max_retries=0)
    one = client.models.retrieve(name)
    return {
        "names": [model.id for model in client.models.list()],
        "one": one.id,
        "context": one.max_input_tokens,
        "longest": one.max_tokens,
    }


def of_google(name: str) -> dict[str, Any]:
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, timeout=60_000))
    one = client.models.get(model=name)
    return {
        "names": [(model.name or "").removeprefix("models/") for model in client.models.list()],
        "one": (one.name or "").removeprefix("models/"),
        "context": one.input_token_limit,
        "longest": one.output_token_limit,
    }


if __name__ == "__main__":
    json.dump([read(sys.argv[1]) for read in (of_openai, of_anthropic, of_google)], sys.stdout)
