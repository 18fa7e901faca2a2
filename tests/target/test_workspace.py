from __future__ import annotations

from pathlib import Path

import pytest

from pirctl.errors import TargetError
from pirctl.target.workspace import (
    check_name,
    find_target,
    name_from_video,
    target_names,
    workspace_folder,
)


def make_target(workspace: Path, name: str) -> None:
    """What tells a target from any other folder."""
    (workspace / name).mkdir(parents=True)
    (workspace / name / "target.yaml").touch()


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "..", "../a", ".hidden", "a..b", "a\n"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(TargetError, match="cannot be used"):
        check_name(name)


@pytest.mark.parametrize("name", ["obama", "José 2", "clip.v2", "a-b_c"])
def test_an_ordinary_name_is_accepted(name: str) -> None:
    assert check_name(name) == name


def test_a_videos_stem_becomes_a_usable_name() -> None:
    assert name_from_video(Path("/some/where/.my..clip .mp4")) == "my.clip"


def test_the_only_target_needs_no_name(tmp_path: Path) -> None:
    make_target(tmp_path, "obama")
    assert find_target(workspace=tmp_path).name == "obama"


def test_two_targets_need_a_name_and_are_listed(tmp_path: Path) -> None:
    make_target(tmp_path, "obama")
    make_target(tmp_path, "merkel")
    with pytest.raises(TargetError, match="merkel, obama"):
        find_target(workspace=tmp_path)
    assert find_target("merkel", tmp_path).folder == tmp_path / "merkel"


def test_a_misspelt_target_names_the_nearest(tmp_path: Path) -> None:
    make_target(tmp_path, "obama")
    with pytest.raises(TargetError, match="there are: obama") as caught:
        find_target("obma", tmp_path)
    assert caught.value.hint == "--target obama"


def test_no_target_at_all_says_how_to_make_one(tmp_path: Path) -> None:
    for name in (None, "obama"):
        with pytest.raises(TargetError) as caught:
            find_target(name, tmp_path / "nowhere")
        assert "pirctl preprocess" in (caught.value.hint or "")


def test_an_unfinished_folder_is_no_target(tmp_path: Path) -> None:
    make_target(tmp_path, "obama")
    make_target(tmp_path, ".obama.tmp")
    (tmp_path / "empty").mkdir()
    assert target_names(tmp_path) == ["obama"]


def test_the_workspace_is_the_option_then_the_environment_then_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIRCTL_WORKSPACE", str(tmp_path / "env"))
    assert workspace_folder(tmp_path) == tmp_path
    assert workspace_folder() == tmp_path / "env"
    monkeypatch.delenv("PIRCTL_WORKSPACE")
    assert workspace_folder() == Path("targets")
