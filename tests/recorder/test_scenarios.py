"""The scenarios of a folder: which there are, that the last state of a file is read, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from thalweg.canon.scenario import MOST_BYTES, Begin, Say, Scenario, ScenarioError, write_scenario
from thalweg.recorder import scenarios
from thalweg.recorder.keeping import keep_scenario
from thalweg.recorder.scenarios import MOST_LISTED, ScenarioShelf, load_scenario
from thalweg.recorder.shelf import Shelf

CUT = Scenario(form=1, end="cut", steps=(Begin(part="text"), Say(text="Hel", ms=3.0)))


def test_one_that_is_kept_is_found_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    file = keep_scenario(folder, "x", CUT)
    assert file == folder / "x.scenario.json"
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert ScenarioShelf(folder)["x"] == CUT
    assert [each.name for each in folder.iterdir()] == [file.name]


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    first, second = keep_scenario(tmp_path, "x", CUT), keep_scenario(tmp_path, "x", replace(CUT, end="reset"))
    assert first != second
    assert (load_scenario(first).end, load_scenario(second).end) == ("cut", "reset")
    assert {first, second} == {tmp_path / f"{name}.scenario.json" for name in ScenarioShelf(tmp_path).names()}


def test_what_is_none_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        keep_scenario(tmp_path, "x", replace(CUT, end="whole"))
    assert not list(tmp_path.iterdir())


def test_it_is_no_recording_and_a_recording_is_none(tmp_path: Path) -> None:
    keep_scenario(tmp_path, "told", CUT)
    (tmp_path / "recorded.jsonl").write_bytes(b"")
    (tmp_path / "unfinished.scenario.json.part").write_bytes(b"")
    assert ScenarioShelf(tmp_path).names() == ["told"]
    assert Shelf(tmp_path).names() == ["recorded"]


def test_a_file_that_is_made_or_changed_or_gone_later_is_so_at_once(tmp_path: Path) -> None:
    shelf = ScenarioShelf(tmp_path)
    assert "x" not in shelf
    file = keep_scenario(tmp_path, "x", CUT)
    assert shelf["x"] == CUT
    other = write_scenario(replace(CUT, end="reset"))
    file.write_bytes(other)
    assert shelf["x"].end == "reset"
    file.unlink()
    with pytest.raises(KeyError):
        shelf["x"]


def test_a_file_that_is_the_same_is_read_once_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def load(file: Path) -> Scenario:
        read.append(file.name.partition(".")[0])
        return load_scenario(file)

    monkeypatch.setattr(scenarios, "load_scenario", load)
    shelf = ScenarioShelf(tmp_path)
    for name in "abcdef":
        keep_scenario(tmp_path, name, CUT)
    for name in "aabbaaccaaddaaeea":
        shelf[name]
    assert "".join(read) == "abcde"
    shelf["b"]
    assert "".join(read) == "abcdeb"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".hidden", "x\0", "y" * 201, "深泓"])
def test_names_are_those_of_recordings(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    keep_scenario(tmp_path, "x", CUT)
    inside.mkdir()
    with pytest.raises(KeyError):
        ScenarioShelf(inside)[name]


def test_the_last_ones_are_listed(tmp_path: Path) -> None:
    for number in range(MOST_LISTED + 5):
        (tmp_path / f"{number:04}.scenario.json").write_bytes(b"")
    shelf = ScenarioShelf(tmp_path)
    assert (next(iter(shelf)), len(list(shelf)), len(shelf)) == (f"{MOST_LISTED + 4:04}", MOST_LISTED, MOST_LISTED)
    assert list(ScenarioShelf(tmp_path / "nowhere")) == []


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "x.scenario.json"
    file.touch()
    os.truncate(file, 1024 * MOST_BYTES)
    with pytest.raises(ScenarioError, match="more than"):
        ScenarioShelf(tmp_path)["x"]


def test_a_folder_of_that_name_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.scenario.json").mkdir()
    with pytest.raises(KeyError):
        ScenarioShelf(tmp_path)["x"]
