from __future__ import annotations

import re
from pathlib import Path

import pytest

from pirctl.config import preset_names
from pirctl.errors import SettingsError, WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.face.model import face_model_path
from pirctl.weights import catalog
from pirctl.weights.entry import WeightsState, cache_folder


def test_a_missing_file_says_what_to_type_and_where_to_put_it() -> None:
    with pytest.raises(WeightsMissing, match=r"parsing_bisenet\.pth is needed for") as caught:
        catalog.find_weights("bisenet")
    assert "pirctl models pull bisenet" in str(caught.value.hint)
    assert str(cache_folder() / "weights") in caught.value.message


def test_a_missing_hub_model_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(WeightsMissing, match="facebook/wav2vec2-base-960h is needed") as caught:
        catalog.find_weights("wav2vec2-base-960h")
    assert caught.value.hint == "pirctl models pull wav2vec2-base-960h"


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(WeightsError, match="no model file 'bisnet'") as caught:
        catalog.find_weights("bisnet")
    assert "did you mean bisenet" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["../bisenet", "/etc/passwd", "", "bisenet\n", "a/b", "."])
def test_hostile_names_are_no_model_files_and_no_face_models(name: str) -> None:
    with pytest.raises(WeightsError, match="there is no model file"):
        catalog.find_weights(name)
    with pytest.raises(SettingsError, match="there is no face model"):
        face_model_path(name)


def test_a_face_model_elsewhere_is_not_reached_by_its_name(tmp_path: Path) -> None:
    outside = cache_folder() / "outside.safetensors"
    outside.parent.mkdir(exist_ok=True)
    outside.write_bytes(b"")
    (cache_folder() / "face").mkdir()
    with pytest.raises(SettingsError, match="no face model"):
        face_model_path("../outside")


def test_a_missing_file_by_hand_tells_the_steps() -> None:
    with pytest.raises(WeightsMissing) as caught:
        catalog.find_weights("bfm_2009")
    assert "faces.dmi.unibas.ch" in str(caught.value.hint)
    assert "pirctl models import bfm_2009" in str(caught.value.hint)


@pytest.mark.parametrize("name", sorted(catalog.weights_entries()))
def test_every_entry_says_where_what_for_and_under_which_licence(name: str) -> None:
    entry = catalog.weights_entry(name)
    assert entry.used_for
    assert entry.licence
    assert entry.licence_url.startswith("https://")
    assert entry.needed_by, "nothing asks for it"
    for need in entry.needed_by:
        first, _, rest = need.partition(" ")
        assert first in {"preprocess", "train", "dub", "faces", "evaluate", "models", "preset"}
        assert first != "preset" or rest in preset_names()
    complete = entry.bytes is not None and (entry.sha256 is not None or entry.pieces != ())
    assert complete or entry.why, "what is not known needs its reason"
    if entry.sha256 is not None:
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
    match entry.obtain:
        case "manual":
            assert entry.steps
            assert entry.why
            assert f"pirctl models import {name}" in entry.steps or "import bfm " in entry.steps
        case "hub":
            assert re.fullmatch("facebook/wav2vec2-[a-z0-9-]+", entry.repository or "")
            assert re.fullmatch("[0-9a-f]{40}", entry.revision or ""), "a branch may move"
        case _:
            assert complete, "a download is checked"
            assert entry.url or entry.packages, "no source"
            assert (entry.url or "https://").startswith(("https://", "http://www.robots.ox.ac.uk/"))
            assert entry.url or entry.why
            if entry.pieces:
                assert entry.bytes == sum(piece.bytes for piece in entry.pieces)


def test_all_that_is_wrong_in_the_list_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.yaml").write_text(
        "one: {used_for: 3, needed_by: [], licence: x, licence_url: y, obtan: hub}\n"
        "two: {used_for: x, needed_by: [], licence: x, licence_url: y, file: ../out}\n"
        "three: 3\n"
    )
    monkeypatch.setattr(catalog, "models_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"weights\.yaml: 4 problems") as caught:
        catalog.weights_entries.__wrapped__()
    for words in (
        "one: used_for: expected text, found 3",
        "one: obtan: unknown key, did you mean `obtain`?",
        "two: ",
        "three: expected a section with keys, found 3",
    ):
        assert words in caught.value.message


def test_every_file_of_the_design_is_listed() -> None:
    listed = set(catalog.weights_entries())
    assert listed >= {
        "face_landmarker", "bisenet", "retinaface_resnet50", "awing", "vgg16", "syncnet", "deep3d",
        "wav2vec2-large-960h", "wav2vec2-large-960h-lv60-self", "wav2vec2-large-xlsr-53",
        "wav2vec2-xls-r-300m", "bfm_2009", "exp_pca", "bfm_model_front", "bfm_exp_idx",
        "bfm_front_idx", "facemodel_info", "similarity_lm3d", "std_exp", "index_mp468",
    }  # fmt: skip


def test_no_two_entries_share_a_file() -> None:
    files = [entry.file for entry in catalog.weights_entries().values() if entry.file]
    assert len(files) == len(set(files))


def test_hub_models_are_pinned_and_others_are_not() -> None:
    entry = catalog.weights_entry("wav2vec2-large-960h")
    assert catalog.hub_revision("facebook/wav2vec2-large-960h") == entry.revision
    assert catalog.hub_revision("somebody/else") == "main"


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIRCTL_HOME", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("PIRCTL_HOME")
    assert "pirctl" in cache_folder().name


def test_the_bundled_face_model_is_found_and_others_are_listed() -> None:
    assert face_model_path("generic").is_file()
    with pytest.raises(SettingsError, match="no face model 'bfm'") as caught:
        face_model_path("bfm")
    assert "generic" in str(caught.value.hint)


@pytest.mark.shared
def test_the_real_landmarker_is_the_expected_file(shared: Path) -> None:
    entry = catalog.weights_entry("face_landmarker")
    assert catalog.state_of(entry) == WeightsState.MISSING
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes((shared / "weights" / "face_landmarker.task").read_bytes())
    assert catalog.find_weights("face_landmarker") == entry.path
    assert catalog.state_of(entry) == WeightsState.HERE
    assert catalog.verify(entry) == "right"


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    ["bfm_exp_idx", "bfm_front_idx", "facemodel_info", "similarity_lm3d", "std_exp", "index_mp468"],
)
def test_the_real_companions_are_the_expected_files(shared: Path, name: str) -> None:
    from pirctl.weights import entry as weights

    entry = catalog.weights_entry(name)
    assert weights.mismatch(entry, shared / "bfm" / str(entry.file)) is None


def test_a_wrong_file_in_the_cache_is_told() -> None:
    entry = catalog.weights_entry("std_exp")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"453980")
    assert catalog.state_of(entry) == WeightsState.WRONG
    with pytest.raises(WeightsCorrupt, match="has 6 bytes, std_exp has 615") as caught:
        catalog.find_weights("std_exp")
    assert caught.value.hint == "pirctl models pull std_exp --force"
    with pytest.raises(WeightsCorrupt):
        catalog.verify(entry)
    with pytest.raises(WeightsMissing):
        catalog.verify(catalog.weights_entry("facemodel_info"))
