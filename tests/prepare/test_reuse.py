"""What an earlier run left: which parts still hold, and what would be lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pirctl.errors import TargetError
from pirctl.prepare import reuse
from pirctl.prepare.reuse import PointSource, Previous, Source, part_digests
from pirctl.settings import FitSettings, MediaSettings, Settings
from pirctl.target import Target
from tests.targets import disc, make_target

PARTS = {"track": "a", "frames": "b", "parsing": "c", "fit": "d"}


def source(sha256: str, stream: int = 0) -> SimpleNamespace:
    info = SimpleNamespace(video_stream=stream, moving_streams=(0, 1))
    return SimpleNamespace(sha256=sha256, info=info)


def digests(**changes: Any) -> dict[str, str]:
    given: dict[str, Any] = {
        "source": source("1"),
        "settings": Settings(),
        "model": SimpleNamespace(version="m1"),
        "seen": PointSource(name="mediapipe", file=None, is_sparse=False),
        "parser": SimpleNamespace(name="bisenet", version="p1"),
        "method": "landmarks",
        "with_audio": True,
    }
    return part_digests(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"source": source("2")}, {"track", "frames", "parsing", "fit", "sound"}),
        ({"source": source("1", stream=1)}, {"track", "frames", "parsing", "fit"}),
        (
            {"settings": replace(Settings(), media=MediaSettings(size_px=128))},
            {"frames", "parsing", "fit"},
        ),
        ({"settings": replace(Settings(), fit=FitSettings(smoothness=9.0))}, {"fit"}),
        ({"model": SimpleNamespace(version="m2")}, {"fit"}),
        ({"parser": SimpleNamespace(name="geometry", version="p1")}, {"parsing"}),
        ({"method": "deep3d 77"}, {"fit"}),
    ],
)
def test_a_change_reaches_what_is_made_from_it(changes: dict[str, Any], expected: set[str]) -> None:
    before, after = digests(), digests(**changes)
    assert {name for name in before if before[name] != after[name]} == expected


def test_labels_drawn_from_a_fit_follow_the_fit() -> None:
    few = PointSource(name="facexlib", file=None, is_sparse=True)
    before = digests(seen=few)
    after = digests(seen=few, model=SimpleNamespace(version="m2"))
    assert {name for name in before if before[name] != after[name]} == {"parsing", "fit"}


def test_a_target_without_sound_has_no_part_for_it() -> None:
    assert "sound" not in digests(with_audio=False)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    made = make_target(tmp_path / "bob", disc(10))
    made.write_about(replace(made.about, inputs=dict(PARTS)))
    return made


def look(target: Target, parts: dict[str, str] = PARTS, **changes: Any) -> Previous:
    source = Source(video=Path("film.mp4"), info=None, sha256=changes.pop("sha256", "0" * 64))
    return Previous.of(target, parts, source, "generic", force=changes.pop("force", False))


def test_equal_inputs_are_taken_over(target: Target) -> None:
    previous = look(target)
    assert previous.is_complete
    assert all(previous.has(part) for part in PARTS)


def test_a_changed_part_is_made_anew(target: Target) -> None:
    previous = look(target, PARTS | {"fit": "other"})
    assert not previous.is_complete
    assert previous.reusable == ("track", "frames", "parsing")


def test_force_takes_nothing_over(target: Target) -> None:
    assert look(target, force=True).reusable == ()


def test_another_video_is_not_written_over(target: Target) -> None:
    with pytest.raises(TargetError, match="made from another video") as caught:
        look(target, sha256="1" * 64)
    assert "--target NAME" in str(caught.value.hint)


def test_a_folder_that_is_no_target_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(TargetError, match="is not a target"):
        look(Target(tmp_path / "notes"))
    assert look(Target(tmp_path / "nothing")).reusable == ()


def test_stages_that_would_not_fit_are_named(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "trained_stages", lambda self: ["audio", "face"])
    assert look(target, PARTS | {"parsing": "other"}).has("fit")
    with pytest.raises(TargetError, match=r"trained stages \(audio, face\)") as caught:
        look(target, PARTS | {"fit": "other"})
    assert "--force" in str(caught.value.hint)


def test_stages_are_linked_and_stay_where_they_were(target: Target, tmp_path: Path) -> None:
    old = target.stage_folder("face") / "log.jsonl"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    made = Target(tmp_path / "new")
    made.folder.mkdir()
    look(target).keep_stages(made)
    assert (made.stage_folder("face") / "log.jsonl").samefile(old)


def test_a_file_is_copied_where_it_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(reuse.os, "link", refuse)
    (tmp_path / "a").write_text("content")
    reuse.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "content"
    assert not (tmp_path / "b").samefile(tmp_path / "a")
