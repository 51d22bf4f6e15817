"""Tell what went wrong: before the answer, by the status, or in its middle, when what has been said is kept."""

import os
from typing import Any

from openai import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
)

client = OpenAI(
    base_url=os.environ.get("BASE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("API_KEY", "any"),
)
model = os.environ.get("MODEL", "sim/text")


def ask(client: OpenAI, model: str, **more: Any) -> str:
    """Stream an answer; whatever goes wrong is said in a line."""
    said = []
    request = {"model": model, "messages": [{"role": "user", "content": "你好"}], "stream": True} | more
    try:
        for chunk in client.chat.completions.create(**request):
            if chunk.choices[0].delta.content:
                said.append(chunk.choices[0].delta.content)
    except AuthenticationError as error:
        return f"the key is wrong ({error.status_code}): {error.message}"
    except NotFoundError as error:
        return f"there is no such model ({error.status_code}): {error.message}"
    except BadRequestError as error:
        return f"the request is wrong ({error.status_code}, {error.param}): {error.message}"
    except APIConnectionError as error:
        return f"the connection broke: {error.message}"
    except APIError as error:
        return f"the answer broke off after {''.join(said)!r}: {error.message}"
    return f"all is well: {''.join(said)!r}"


print(ask(client, model))
print(ask(client.with_options(api_key="sk-nobody-gave-me-this"), model))
print(ask(client, "sim/nobody-made-this"))
print(ask(client, model, messages="nothing to read"))
print(ask(client, os.environ.get("BROKEN_MODEL", "sim/error-midstream")))
