"""`thalweg chat` on pipes, against the real gateway: what it prints, where, and its exit codes."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import PATIENCE_S, own_environment, thalweg
from tests.live.gateway import KEY, Gateway, provider_environment
from thalweg.cli import connection
from thalweg.cli.chat import read_prompt
from thalweg.cli.pictures import read_image
from thalweg.cli.session import MOST_KEPT, Conversation, Conversations, Said
from thalweg.config import ConfigError, load_client
from thalweg.ledger.lock import HomeLocked, running_server
from thalweg.ledger.report import last_entries

SEEDED = "sim/text?seed=1&pace=0"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway")) as started:
        yield started


Chat = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def chat(gateway: Gateway, tmp_path: Path) -> Chat:
    """Runs `thalweg chat` with the gateway's address and key."""

    def run(*arguments: str, stdin: str | bytes | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return thalweg(
            tmp_path, "chat", *arguments, stdin=stdin, **{"THALWEG_URL": gateway.url, "THALWEG_API_KEY": KEY} | env
        )

    return run


def says(done: subprocess.CompletedProcess[str], prompt: str) -> bool:
    """Whether this is what the simulator answers to that prompt."""
    assert (done.returncode, done.stderr) == (0, "")
    return f": {prompt}\n\n" in done.stdout


# The answer on a pipe


def test_standard_output_is_the_answer_byte_for_byte(gateway: Gateway, chat: Chat) -> None:
    prompt = "# **T**\n\n- 深泓\n"
    asked = {"model": SEEDED, "messages": [{"role": "user", "content": prompt}]}
    _, _, body = gateway.request("POST", "/v1/chat/completions", asked)
    done = chat(SEEDED, prompt)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == json.loads(body)["choices"][0]["message"]["content"]
    assert "**T**" in done.stdout


def test_reasoning_is_no_answer(chat: Chat) -> None:
    done = chat("sim/reasoning?pace=0", "hi")
    assert says(done, "hi")
    assert json.loads(chat("sim/reasoning?pace=0", "hi", "--json").stdout)["reasoning"] not in done.stdout


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        pytest.param(["one", "two"], None, "one two", id="words"),
        pytest.param([], "piped\n", "piped", id="standard input alone"),
        pytest.param(["Explain."], "piped\n", "piped\n\nExplain.", id="standard input goes before the words"),
        pytest.param(["-"], "piped\n", "piped", id="a hyphen is standard input"),
        pytest.param(["Before", "-", "after"], "piped\n", "Before\n\npiped\n\nafter", id="and stands where it stands"),
        pytest.param(["- what is this?"], None, "- what is this?", id="a prompt may begin with a hyphen"),
        pytest.param(["explain"], "深泓\n", "深泓\n\nexplain", id="wide characters"),
    ],
)
def test_the_prompt_is_made_of(
    monkeypatch: pytest.MonkeyPatch, words: list[str], stdin: str | None, prompt: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((stdin or "").encode())))
    assert read_prompt(words) == prompt


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        pytest.param([SEEDED, "explain"], "piped\n\nexplain", id="with the model ahead"),
        pytest.param(["-m", SEEDED, "Before", "-", "after"], "Before\n\npiped\n\nafter", id="with the model aside"),
    ],
)
def test_standard_input_is_part_of_the_prompt(chat: Chat, words: list[str], prompt: str) -> None:
    assert says(chat(*words, stdin="piped\n"), prompt)


def test_the_usual_model_is_a_setting(chat: Chat) -> None:
    assert says(chat("and/or", "what", THALWEG_MODEL=SEEDED), "and/or what")


def test_a_pipe_that_is_no_text_is_read_all_the_same(chat: Chat) -> None:
    assert says(chat(SEEDED, stdin=b"a\xffb"), "a\ufffdb")


def test_a_call_that_is_no_text_is_sent_all_the_same(recorder: Recorder, tmp_path: Path) -> None:
    """Bytes of a command line that are no UTF-8 come as halves of characters, which nothing could be made of."""
    done = thalweg(tmp_path, "chat", "a\udcffb", "-s", "\udcfe", "-m", "m\udcff", THALWEG_URL=recorder.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok", "")
    said = [message["content"] for message in recorder.asked[0]["messages"]]
    assert (recorder.asked[0]["model"], said) == ("m\ufffd", ["\ufffd", "a\ufffdb"])


def test_a_reader_that_goes_stops_the_answer_without_a_word(gateway: Gateway, tmp_path: Path) -> None:
    before = len(gateway.settled())
    process = subprocess.Popen(
        [sys.executable, "-m", "thalweg", "chat", "sim/text?seed=1&tokens=100000", "hi"],
        env=own_environment(tmp_path, {"THALWEG_URL": gateway.url, "THALWEG_API_KEY": KEY}),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5)
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 1
    assert process.stderr.read() == b""
    process.stderr.close()
    assert gateway.settled_since(before)[0].outcome == "cancelled"


# Numbers


def test_json_is_one_object_with_all_there_is_to_know(chat: Chat) -> None:
    done = chat("sim/reasoning?seed=1&pace=200", "hi", "--json")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    told = json.loads(done.stdout)
    assert told["text"].startswith("Hello!") or "hi" in told["text"]
    assert told["reasoning"]
    assert (told["tool_calls"], told["finish_reason"], told["error"], told["stopped"]) == ([], "stop", None, None)
    assert told["usage"]["output_tokens"] > told["usage"]["reasoning_tokens"] > 0
    assert told["usage_source"] == "reported"
    assert told["ttft_ms"] > 0
    assert told["tokens_per_s"] > 0
    assert re.fullmatch(r"[0-9a-f]{44}", told["stream_id"])
    assert told["model"] == "sim/reasoning?seed=1&pace=200"


def test_verbose_tells_them_on_standard_error(gateway: Gateway, chat: Chat) -> None:
    done = chat(SEEDED, "hi", "--verbose")
    assert done.returncode == 0
    stream = gateway.settled()[0].request_id
    usage = gateway.settled()[0].usage
    assert re.fullmatch(
        rf"first token after \d+ ms( · [\d,.]+ tokens/s)? · tokens: {usage.input_tokens} in, "
        rf"{usage.output_tokens} out \(reported\) · finished: stop · stream {stream}\n",
        done.stderr,
    )


class Recorder:
    """A gateway's place that keeps what it is asked and answers with one word."""

    def __init__(self) -> None:
        recorder = self
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = (
            b'data: {"choices":[{"index":0,"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        )
        self.status = 200

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                recorder.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                recorder.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(recorder.status)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                self.wfile.write(recorder.answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    started = Recorder()
    yield started
    started.stop()


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        pytest.param(
            [], {"model": "openai/m", "stream": True, "stream_options": {"include_usage": True}}, id="nothing"
        ),
        pytest.param(["--temperature", "0.5"], {"temperature": 0.5}, id="a temperature"),
        pytest.param(["--max-tokens", "7"], {"max_completion_tokens": 7}, id="a limit"),
        pytest.param(["-m", "ark/m", "--max-tokens", "7"], {"max_tokens": 7}, id="a limit in a provider's own word"),
        pytest.param(["--effort", "low"], {"reasoning_effort": "low"}, id="an effort"),
        pytest.param(
            ["--system", "Be brief."],
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
            id="a system prompt",
        ),
    ],
)
def test_an_option_is_a_field_of_the_request(
    recorder: Recorder, tmp_path: Path, arguments: list[str], fields: dict[str, Any]
) -> None:
    done = thalweg(tmp_path, "chat", "hi", *arguments, THALWEG_URL=recorder.url, THALWEG_MODEL="openai/m")
    assert (done.returncode, done.stdout) == (0, "ok"), done.stderr
    asked = recorder.asked[0]
    assert {name: asked.get(name) for name in fields} == fields
    optional = {"temperature", "max_completion_tokens", "max_tokens", "reasoning_effort"}
    assert not (optional & asked.keys()) - fields.keys()


def test_the_key_goes_to_the_gateway_and_nowhere_to_be_seen(recorder: Recorder, tmp_path: Path) -> None:
    done = thalweg(tmp_path, "chat", "-m", "m", "hi", "-v", THALWEG_URL=recorder.url, THALWEG_API_KEY=KEY)
    assert recorder.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in done.stdout + done.stderr


def test_a_tool_call_is_told_beside_the_answer_and_in_json(recorder: Recorder, tmp_path: Path) -> None:
    call = '{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\\"a\\":1}"}}'
    recorder.answer = (
        f'data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}]}}\n\n'
        "data: [DONE]\n\n"
    ).encode()
    done = thalweg(tmp_path, "chat", "-m", "m", "hi", THALWEG_URL=recorder.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", 'tool call: f({"a":1})\n')
    told = json.loads(thalweg(tmp_path, "chat", "-m", "m", "hi", "--json", THALWEG_URL=recorder.url).stdout)
    assert told["tool_calls"] == [{"id": "c1", "name": "f", "arguments": {"a": 1}}]
    assert (told["text"], told["finish_reason"]) == ("", "tool_calls")
    # What is said next finds the call in the conversation, as text: nobody has run it.
    thalweg(tmp_path, "chat", "-c", "and?", THALWEG_URL=recorder.url)
    assert recorder.asked[-1]["messages"][1] == {"role": "assistant", "content": '[f({"a":1})]'}


# Images


def test_an_image_is_sent_as_data_and_its_type_is_what_its_bytes_say(recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(PNG)
    done = thalweg(
        tmp_path, "chat", "-m", "m", "What?", "-i", str(file), "--image", str(file), THALWEG_URL=recorder.url
    )
    assert done.returncode == 0, done.stderr
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}
    assert recorder.asked[0]["messages"][0]["content"] == [image, image, {"type": "text", "text": "What?"}]


def test_the_simulator_sees_an_image(chat: Chat, tmp_path: Path) -> None:
    file = tmp_path / "dot"
    file.write_bytes(PNG)
    done = chat(SEEDED, "What?", "--image", str(file))
    assert done.returncode == 0
    assert re.search(r"1\s*[x×]\s*1", done.stdout)


@pytest.mark.parametrize(
    ("begins", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM6", "image/bmp"),
    ],
)
def test_a_type_of_image(tmp_path: Path, begins: bytes, mime: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(begins)
    assert read_image(file).url == f"data:{mime};base64,{base64.b64encode(begins).decode()}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "No such file", id="a file that is not there"),
        pytest.param(b"text", "is no PNG", id="a file that is no image"),
        pytest.param(PNG + bytes(15 * 1024 * 1024), "larger than 14 MiB", id="a file that is too large"),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(chat: Chat, tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "image.png"
    if content is not None:
        file.write_bytes(content)
    done = chat(SEEDED, "?", "--image", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert str(file) in done.stderr


# Errors


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "env", "code", "said"),
    [
        pytest.param(["sim/nothing", "hi"], {}, 1, ["'nothing'", "thalweg models", "request 0"], id="an unknown model"),
        pytest.param(["ark/m", "hi"], {}, 1, ["ARK_API_KEY"], id="a provider without its key"),
        pytest.param(
            [SEEDED, "hi"], {"THALWEG_API_KEY": "sk-another-key"}, 1, ["Set THALWEG_API_KEY"], id="a wrong key"
        ),
        pytest.param([SEEDED, "hi"], {"THALWEG_API_KEY": "short"}, 3, ["THALWEG_API_KEY"], id="a wrong setting"),
        pytest.param([SEEDED, "hi", "--url", "ftp://x"], {}, 3, ["--url"], id="a wrong address"),
        pytest.param([SEEDED], {}, 2, ["nothing to ask"], id="no prompt"),
        pytest.param([SEEDED, "hi", "--modle", "x"], {}, 2, ["--modle", "--model"], id="a wrong option"),
        pytest.param([SEEDED, "--effort", "much", "hi"], {}, 2, ["minimal"], id="a wrong choice"),
        pytest.param(["sim/text?fault=http-503", "hi"], {}, 1, ["Try again later"], id="a busy provider"),
        pytest.param(["sim/text?fault=http-429", "hi"], {}, 1, ["Wait a little"], id="too many requests"),
    ],
)
def test_an_error_says_what_and_what_to_do(
    chat: Chat, arguments: list[str], env: dict[str, str], code: int, said: list[str]
) -> None:
    done = chat(*arguments, **env)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("thalweg: ")
    assert "Traceback" not in done.stderr
    assert all(text in done.stderr for text in said), done.stderr


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_gateway_that_is_not_there_is_4(tmp_path: Path, lang: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for arguments in (["--url", url], ["--url", url, "-m", "sim/text"], ["--url", url, "--json"]):
        done = thalweg(tmp_path, "chat", "hi", *arguments, THALWEG_LANG=lang)
        assert done.returncode == 4
        assert f"{url}: Connection refused" in done.stderr
        assert ("Is it running" in done.stderr) == (lang == "en")


def test_an_answer_that_breaks_off_stays_and_is_1(chat: Chat) -> None:
    done = chat("sim/error-midstream?seed=1", "hi")
    assert done.returncode == 1
    assert done.stdout
    assert done.stderr.startswith("thalweg: The answer broke off: ")
    assert "request 0" in done.stderr


@pytest.mark.parametrize("fault", ["reset", "eof"])
def test_a_broken_stream_is_told_as_one(chat: Chat, fault: str) -> None:
    done = chat(f"sim/text?seed=1&fault={fault}", "hi", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["text"]
    assert told["error"]["message"] in done.stderr


def test_a_gateway_that_goes_in_the_middle_is_a_broken_stream(recorder: Recorder, tmp_path: Path) -> None:
    recorder.answer = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'
    done = thalweg(tmp_path, "chat", "-m", "m", "hi", THALWEG_URL=recorder.url)
    assert (done.returncode, done.stdout) == (1, "half")
    assert "broke off" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([SEEDED, "hi", "--max-tokens", "3"], "--max-tokens", id="by its length"),
        pytest.param(["sim/filter?pace=0", "hi"], "content filter", id="by a content filter"),
    ],
)
def test_an_answer_that_was_cut_is_told_to_be(chat: Chat, arguments: list[str], said: str) -> None:
    done = chat(*arguments)
    assert done.returncode == 0, "it is what was asked for, or what there is"
    assert done.stdout
    assert done.stderr.startswith("thalweg: The answer was cut")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_path_that_is_no_gateways_is_not_taken_for_a_model(gateway: Gateway, chat: Chat) -> None:
    done = chat("-m", SEEDED, "hi", "--url", f"{gateway.url}/elsewhere")
    assert done.returncode == 1
    assert "THALWEG_URL" in done.stderr
    assert "thalweg models" not in done.stderr


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_gateway_that_dies_in_the_middle_is_told_in_words_of_ours(tmp_path: Path, lang: str) -> None:
    """Whether it names its streams or, being none, does not: what came has come."""
    half = 'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                # All of it: a socket that is closed with bytes unread resets, and what it sent may be lost.
                asked = b""
                while not asked.endswith(b"}"):
                    asked += peer.recv(65536)
                peer.sendall(f"{head}{len(half):x}\r\n{half}\r\n".encode())

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = thalweg(tmp_path, "chat", "-m", "m", "hi", THALWEG_URL=url, THALWEG_LANG=lang)
    assert (done.returncode, done.stdout) == (1, "half")
    said = {"en": "The answer broke off: the gateway closed the connection\n", "zh": "回答中断：网关断开了连接\n"}
    assert done.stderr.startswith(f"thalweg: {said[lang]}")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("command", [["chat", "-m", "m", "hi"], ["models"]], ids=lambda command: str(command[0]))
def test_https_where_there_is_none_is_told(recorder: Recorder, tmp_path: Path, command: list[str], lang: str) -> None:
    url = recorder.url.replace("http://", "https://")
    done = thalweg(tmp_path, *command, "--url", url, THALWEG_LANG=lang)
    assert done.returncode == 4
    assert ("no TLS is spoken there" if lang == "en" else "那里不说 TLS") in done.stderr


def test_what_is_no_gateway_says_its_status(recorder: Recorder, tmp_path: Path) -> None:
    recorder.status, recorder.answer = 418, b"<html>\x1b]0;x\x07"
    done = thalweg(tmp_path, "chat", "-m", "m", "hi", THALWEG_URL=recorder.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "418" in done.stderr
    assert "\x1b" not in done.stderr


# Conversations


def test_a_conversation_goes_on(recorder: Recorder, tmp_path: Path) -> None:
    env = {"THALWEG_URL": recorder.url}
    thalweg(tmp_path, "chat", "-m", "m", "one", "-s", "Be brief.", **env)
    thalweg(tmp_path, "chat", "-c", "two", **env)
    thalweg(tmp_path, "chat", "--continue", "-m", "other", "three", **env)
    assert [asked["model"] for asked in recorder.asked] == ["m", "m", "other"]
    assert [message["content"] for message in recorder.asked[2]["messages"]] == [
        "Be brief.", "one", "ok", "two", "ok", "three",
    ]  # fmt: skip
    (file,) = (tmp_path / "conversations").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_without_saving_nothing_is_kept(recorder: Recorder, tmp_path: Path) -> None:
    done = thalweg(tmp_path, "chat", "-m", "m", "one", "--no-save", THALWEG_URL=recorder.url)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_images_are_not_kept_and_a_note_says_so(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    env = {"THALWEG_URL": recorder.url}
    thalweg(tmp_path, "chat", "-m", "m", "What?", "-i", str(tmp_path / "a.png"), **env)
    thalweg(tmp_path, "chat", "-c", "Sure?", **env)
    assert recorder.asked[1]["messages"][0]["content"] == "[image a.png]\nWhat?"
    (file,) = (tmp_path / "conversations").glob("*.json")
    assert "base64" not in file.read_text()


def test_a_question_without_an_answer_is_not_kept(recorder: Recorder, tmp_path: Path) -> None:
    env = {"THALWEG_URL": recorder.url}
    thalweg(tmp_path, "chat", "-m", "m", "one", **env)
    recorder.status = 503
    assert thalweg(tmp_path, "chat", "-c", "two", **env).returncode == 1
    recorder.status = 200
    thalweg(tmp_path, "chat", "-c", "three", **env)
    assert [message["content"] for message in recorder.asked[2]["messages"]] == ["one", "ok", "three"]


def test_so_many_conversations_are_kept_and_the_last_one_is_found(tmp_path: Path) -> None:
    kept = Conversations(tmp_path, kept=True)
    for number in range(MOST_KEPT + 5):
        kept.save(Conversation(id=f"c{number}", model="m", messages=[Said(role="user", text=str(number))]))
    names = {file.stem for file in (tmp_path / "conversations").glob("*.json")}
    assert names == {f"c{number}" for number in range(5, MOST_KEPT + 5)}
    last = kept.last()
    assert last is not None
    assert last.messages[0].text == str(MOST_KEPT + 4)


def test_a_file_that_is_no_conversation_is_passed_over(tmp_path: Path) -> None:
    kept = Conversations(tmp_path, kept=True)
    kept.save(Conversation(id="good", model="m", messages=[Said(role="user", text="hi")]))
    (tmp_path / "conversations" / "bad.json").write_text("{")
    last = kept.last()
    assert last is not None
    assert last.id == "good"
    assert Conversations(tmp_path / "nowhere", kept=True).last() is None


# Which gateway


@pytest.mark.parametrize(
    ("environment", "given", "expected"),
    [
        pytest.param({}, None, None, id="none"),
        pytest.param({"THALWEG_URL": "http://a:1"}, None, "http://a:1", id="from the environment"),
        pytest.param({"THALWEG_URL": "http://a:1"}, "http://b:2", "http://b:2", id="an option comes first"),
        pytest.param({}, "http://a:1/v1/", "http://a:1", id="with the path that SDKs want"),
        pytest.param({}, "https://a.example/gate/v1", "https://a.example:443/gate", id="below a path"),
        pytest.param({}, "http://[::1]:8080", "http://[::1]:8080", id="an address of IPv6"),
    ],
)
def test_where_the_gateway_is(environment: dict[str, str], given: str | None, expected: str | None) -> None:
    assert load_client({"THALWEG_HOME": "/x"} | environment, url=given).url == expected


@pytest.mark.parametrize("url", ["a:1", "ftp://a", "http://", "http://user:secret@a", "http://a?key=secret"])
def test_an_address_that_cannot_be_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="THALWEG_URL") as refused:
        load_client({"THALWEG_HOME": "/x"}, url=url)
    assert "secret" not in str(refused.value)


def test_settings_of_a_client_do_not_show_the_key() -> None:
    settings = load_client({"THALWEG_HOME": "/x", "THALWEG_API_KEY": KEY})
    gateway = connection.Gateway(url="http://a", api_key=settings.api_key)
    assert settings.api_key == KEY
    assert KEY not in repr(settings) + repr(gateway)


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    done = thalweg(tmp_path, "chat", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello" in done.stdout
    (entry,) = last_entries(tmp_path / "ledger.db", 10)
    assert (entry.model, entry.outcome, entry.usage_source) == ("sim/text", "complete", "reported")
    assert running_server(tmp_path) is None


def test_the_first_model_of_a_provider_that_is_set_up_is_the_usual_one(tmp_path: Path) -> None:
    port = free_port()
    env = provider_environment(f"http://127.0.0.1:{port}/v1")
    told = json.loads(thalweg(tmp_path, "chat", "hi", "--json", **env).stdout)
    assert told["model"].startswith("openai/")
    assert told["error"]["code"] == "upstream_unreachable"


def test_the_running_server_of_the_home_is_used(gateway: Gateway, tmp_path: Path) -> None:
    before = len(gateway.settled())
    done = thalweg(tmp_path, "chat", SEEDED, "hi", "--no-save", THALWEG_HOME=str(gateway.home), THALWEG_API_KEY=KEY)
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = gateway.settled_since(before)
    assert entry.model == SEEDED
    server = running_server(gateway.home)
    assert server is not None
    assert (server.pid, server.address) == (gateway.pid, gateway.url)


def test_the_running_servers_key_is_asked_for(gateway: Gateway, tmp_path: Path) -> None:
    done = thalweg(tmp_path, "chat", SEEDED, "hi", "--no-save", THALWEG_HOME=str(gateway.home))
    assert (done.returncode, done.stdout) == (1, "")
    assert "Set THALWEG_API_KEY" in done.stderr


def test_several_at_once_share_one_gateway_and_all_are_in_the_ledger(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "thalweg", "chat", "--json"]
    running = [
        subprocess.Popen(
            [*command, f"sim/text?seed=1&tokens=30&pace={pace}", "hi"],
            env=own_environment(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for pace in (20, 40, 80)
    ]  # fmt: skip
    for process in running:
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, b"Traceback" in err) == (0, False), err
        assert json.loads(out)["error"] is None
    assert [entry.outcome for entry in last_entries(tmp_path / "ledger.db", 10)] == ["complete"] * 3
    assert running_server(tmp_path) is None


def test_a_home_that_another_holds_silently_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = (
        "import sys; from pathlib import Path; from thalweg.ledger.lock import HomeLock; "
        "HomeLock(Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=own_environment(tmp_path)
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        monkeypatch.setattr(connection, "_START_S", 0.2)
        waits: list[None] = []
        with pytest.raises(HomeLocked, match=f"process {process.pid}"):
            connection.Connection(load_client({"THALWEG_HOME": str(tmp_path)}), waits=lambda: waits.append(None)).open()
        process.kill()
