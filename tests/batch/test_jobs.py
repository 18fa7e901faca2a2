"""The table of jobs: read as people write it, and all mistakes told at once, with their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pirctl.batch.jobs import Job, read_jobs
from pirctl.cli.batch import table_options
from pirctl.dub.dub import default_output
from pirctl.errors import SettingsError

COMMON = {"workspace": "/ws"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.mp4", "two.mp4", "speech.wav", "other.wav"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def _read(folder: Path, text: str, name: str = "jobs.csv") -> list[Job]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_jobs(path, table_options(), default_output, COMMON)


def _problems(folder: Path, text: str, name: str = "jobs.csv") -> str:
    with pytest.raises(SettingsError) as caught:
        _read(folder, text, name)
    return caught.value.message


def test_columns_are_options_and_paths_start_at_the_table(folder: Path) -> None:
    text = "video;audio;Keep_Sound;target;set;force\none.mp4;speech.wav;2;obama;a=1 b=2;yes\n"
    (job,) = _read(folder, text)
    assert job.arguments == (
        "--workspace=/ws", f"--audio={folder / 'speech.wav'}", "--keep-sound=2", "--target=obama",
        "--set=a=1", "--set=b=2", "--", str(folder / "one.mp4"),
    )  # fmt: skip
    assert (job.line, job.target, job.force) == (2, "obama", True)
    assert job.output == folder / "one_dubbed.mp4"


def test_a_row_wins_over_what_is_said_for_all(folder: Path) -> None:
    (job,) = _read(folder, f"video,audio,workspace\none.mp4,speech.wav,{folder}/mine\n")
    assert f"--workspace={folder}/mine" in job.arguments
    assert "--workspace=/ws" not in job.arguments


def test_yaml_says_the_same(folder: Path) -> None:
    text = """
- video: one.mp4
  audio: speech.wav
  offset: -1.5
  set: [a=1, b=2]
  force: true
- {video: two.mp4, audio: other.wav, output: made/two.mov, consent: null}
"""
    one, two = _read(folder, text, "jobs.yaml")
    assert (one.line, one.force, two.force) == (2, True, False)
    assert {"--offset=-1.5", "--set=a=1", "--set=b=2"} < set(one.arguments)
    assert two.output == folder / "made" / "two.mov"
    assert "--consent" not in " ".join(two.arguments)


def test_all_mistakes_are_told_with_their_rows(folder: Path) -> None:
    text = (
        "video,audoi,audio,offset,keep-sound,pauses,offline\n"
        "one.mp4,x,speech.wav,,,,\n"
        "one.mp4,,speech.wav,soon,0,never,perhaps\n"
        "\n"
        "three.mp4,,speech.wav,,,,\n"
        "two.mp4,,,,,,\n"
        ",,speech.wav,,,,,much,more\n"
    )
    assert _problems(folder, text).splitlines() == [
        f"{folder / 'jobs.csv'}: 9 problems:",
        "  - row 2: no option 'audoi', did you mean 'audio'?",
        "  - row 3: offset: 'soon' is no number",
        "  - row 3: keep-sound: '0' must be at least 1",
        "  - row 3: pauses: 'never' must be one of original, closed",
        "  - row 3: offline: 'perhaps' must be yes or no",
        f"  - row 5: {folder / 'three.mp4'} does not exist",
        "  - row 6: neither audio nor cues",
        "  - row 7: 'much' stands under no column",
        "  - row 7: no video",
    ]


def test_a_mistake_in_cues_is_told_before_anything_starts(folder: Path) -> None:
    (folder / "cues.csv").write_text("start,end,face,sound\n0,1,,gone.wav\n")
    said = _problems(folder, "video,cues\none.mp4,cues.csv\n")
    assert said == f"{folder / 'jobs.csv'}: row 2: {folder / 'gone.wav'} does not exist"
    (folder / "cues.csv").write_text("start,end\nnever,1\n")
    assert "'never' is no time" in _problems(folder, "video,cues\none.mp4,cues.csv\n")


def test_two_rows_that_write_one_file_are_refused(folder: Path) -> None:
    said = _problems(folder, "video,audio\none.mp4,speech.wav\none.mp4,other.wav\n")
    assert "rows 2 and 3 write the same file" in said


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jobs.csv", "", "has no job"),
        ("jobs.csv", "video,audio\n", "has no job"),
        ("jobs.csv", "video,video\na,b\n", "column 'video' is there twice"),
        ("jobs.yaml", "", "has no job"),
        ("jobs.yaml", "video: one.mp4\n", "is no list of jobs"),
        ("jobs.yaml", "- one.mp4\n", "line 1: no mapping of options"),
        ("jobs.yaml", "- video: {a: b}\n", "line 1: an option twice, or not a value"),
        ("jobs.yaml", "- video: one.mp4\n  video: two.mp4\n", "line 2: an option twice"),
        ("jobs.yaml", "- [\n", "is no YAML"),
        ("jobs.yaml", "- {offset: [1, 2], video: one.mp4, audio: speech.wav}", "takes one value"),
    ],
)
def test_what_is_no_table_is_told(folder: Path, name: str, text: str, said: str) -> None:
    assert said in _problems(folder, text, name)


def test_what_json_and_quiet_mean_is_the_batchs_own_affair(folder: Path) -> None:
    assert "no option 'json'" in _problems(folder, "video,audio,json\none.mp4,speech.wav,yes\n")


def test_the_digest_follows_content_and_options_but_not_the_place(folder: Path) -> None:
    row = "video,audio,offset,output,device\none.mp4,speech.wav,{},{},{}\n"
    first = _read(folder, row.format(1, "a.mp4", ""))[0].digest
    assert _read(folder, row.format(1, "b.mp4", "cpu"))[0].digest == first
    assert _read(folder, row.format(2, "a.mp4", ""))[0].digest != first
    (folder / "speech.wav").write_bytes(b"said anew")
    assert _read(folder, row.format(1, "a.mp4", ""))[0].digest != first


def test_every_option_of_dub_but_two_may_be_a_column() -> None:
    names = {option.name for option in table_options()}
    assert {"video", "audio", "set", "batch-size", "preset", "workspace"} < names
    assert not names & {"json", "quiet", "overrides", "json-output"}
    assert all(name.replace("-", "").isalpha() for name in names), "no pair of switches"
