"""One server per home, whatever becomes of the first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalweg.ledger import HomeLock, HomeLocked
from thalweg.ledger.lock import LOCK_FILE, running_server

HOLDER = """
import sys
from pathlib import Path
from thalweg.ledger import HomeLock

HomeLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until it ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_the_second_server_is_told_who_the_first_is(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(HomeLocked, match=f"process {holder.pid}; one server per home") as refused:
        HomeLock(tmp_path).acquire()
    assert (refused.value.pid, refused.value.home) == (holder.pid, tmp_path)


def test_kill_minus_nine_gives_the_lock_back(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()
    with HomeLock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_two_locks_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    with HomeLock(tmp_path), pytest.raises(HomeLocked) as refused:
        HomeLock(tmp_path).acquire()
    assert refused.value.pid == os.getpid()


def test_who_is_refused_leaves_the_first_ones_name(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        for _ in range(2):
            with pytest.raises(HomeLocked, match=f"process {os.getpid()};"):
                HomeLock(tmp_path).acquire()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.release()
    for _ in range(2):
        lock.acquire()
        lock.release()
    lock.release()


def test_a_longer_pid_of_the_last_holder_does_not_show_through(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("12345678901234567890\n")
    with HomeLock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_a_holder_who_has_not_said_its_name_is_another_process(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        (tmp_path / LOCK_FILE).write_text("")
        with pytest.raises(HomeLocked, match="in use by another process") as refused:
            HomeLock(tmp_path).acquire()
    assert refused.value.pid is None


def test_a_home_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    with HomeLock(home):
        assert home.stat().st_mode & 0o777 == 0o700


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with HomeLock(tmp_path):
        before = descriptors()
        for _ in range(10):
            with pytest.raises(HomeLocked):
                HomeLock(tmp_path).acquire()
        assert descriptors() == before


def test_an_error_on_the_way_lets_go_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            HomeLock(tmp_path).acquire()
    with HomeLock(tmp_path):
        pass


# Finding the holder


def test_a_holder_is_found_with_its_address_once_it_listens(tmp_path: Path) -> None:
    with HomeLock(tmp_path) as lock:
        assert running_server(tmp_path) == (os.getpid(), None)
        lock.announce("http://127.0.0.1:8080")
        assert running_server(tmp_path) == (os.getpid(), "http://127.0.0.1:8080")
        lock.announce("http://[::1]:1")
        assert running_server(tmp_path) == (os.getpid(), "http://[::1]:1")
        with pytest.raises(HomeLocked, match=f"process {os.getpid()};"):
            HomeLock(tmp_path).acquire()


def test_a_released_home_has_no_server(tmp_path: Path) -> None:
    with HomeLock(tmp_path) as lock:
        lock.announce("http://127.0.0.1:8080")
    assert running_server(tmp_path) is None


def test_a_killed_holder_is_no_server(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    assert running_server(tmp_path) == (holder.pid, None)
    holder.kill()
    holder.wait()
    assert running_server(tmp_path) is None


def test_looking_does_not_take_the_home_away(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        pass
    assert running_server(tmp_path) is None
    with HomeLock(tmp_path):
        assert running_server(tmp_path) is not None


@pytest.mark.parametrize("text", ["", "\n", "nobody\n", "12345678901234567890\nhttp://127.0.0.1:1\n"])
def test_a_file_that_names_nobody_is_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    assert running_server(tmp_path) is None


def test_a_home_that_is_not_there_has_no_server(tmp_path: Path) -> None:
    assert running_server(tmp_path / "nowhere") is None
