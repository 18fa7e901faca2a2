from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from pirctl.errors import (
    DecodeError,
    FaceNotFound,
    MediaError,
    SettingsError,
    TargetError,
    WeightsCorrupt,
    WeightsMissing,
)
from pirctl.face.camera import FLIP, intrinsics, project, rotation_from_vector, transform
from pirctl.face.crop import source_from_crop
from pirctl.face.landmark_file import Landmarks, write_landmark_file
from pirctl.face.landmarks import (
    _WFLW,
    LANDMARKS_68,
    LIPS_INNER,
    LIPS_OUTER,
    eye_distance,
    mouth_opening,
)
from pirctl.face.model import load_face_model
from pirctl.inspect.inspect import inspect
from pirctl.media import Crop, VideoWriter, probe, read_frames, read_sound, write_sound
from pirctl.prepare.options import FitOptions, OutputOptions, ParserOptions, TrackerOptions
from pirctl.prepare.parts import exactly
from pirctl.prepare.preprocess import PreprocessReport, preprocess
from pirctl.progress import Progress, ignore_progress
from pirctl.settings import FitSettings, MediaSettings, Settings
from pirctl.target.consent import withdraw
from pirctl.weights.catalog import weights_entry
from tests.media.clips import ffmpeg

WIDTH, HEIGHT, FRAMES = 200, 160, 24
SETTINGS = Settings(media=MediaSettings(size_px=64))


def true_points(frames: int = FRAMES) -> np.ndarray:
    """(T, 468, 2) points of a face that turns and talks, in a picture of WIDTH by HEIGHT."""
    model = load_face_model()
    z_exp = torch.zeros(frames, model.expression_width)
    z_exp[:, model.axis("jawOpen")] = 0.3 + 0.3 * torch.sin(torch.arange(frames) * 0.8)
    turn = torch.zeros(frames, 3)
    turn[:, 1] = 0.2 * torch.sin(torch.arange(frames) * 0.2)
    vertices = model.vertices(torch.zeros(model.identity_width), z_exp)
    camera = transform(
        FLIP @ rotation_from_vector(turn), torch.tensor([0, 0, 8.0]).expand(frames, 3), vertices
    )
    points = project(camera, intrinsics(400.0, 0)).numpy() + np.array([WIDTH / 2, HEIGHT / 2])
    return points.astype(np.float32)


def make_clip(folder: Path, *, rate: Fraction = Fraction(25), sound: bool = True) -> Path:
    """A video of a grey disc where the face is, whose brightness is ten times the frame number."""
    speech = folder / "speech.wav"
    tone = 0.5 * np.sin(np.arange(int(16000 * FRAMES / rate)) * 0.3)
    write_sound(speech, tone.astype(np.float32), 16000)
    path = folder / "clip.mp4"
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = np.hypot(x - WIDTH / 2, y - HEIGHT / 2) < 60
    with VideoWriter(path, WIDTH, HEIGHT, rate, sound=speech if sound else None) as writer:
        for number in range(FRAMES):
            frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            frame[disc] = 10 * number
            writer.write(frame)
    return path


class KnownFace:
    """A detector that knows where the face is, frame by frame; `hidden` frames show none."""

    name = "known"
    points = 468
    batch = 1

    def __init__(self, hidden: tuple[int, ...] = ()) -> None:
        self.truth, self.hidden, self.looks = true_points(), hidden, 0

    def detect(self, image: np.ndarray) -> list[np.ndarray]:
        self.looks += 1
        if image.shape[:2] != (HEIGHT, WIDTH):
            return []
        number = round(int(image[HEIGHT // 2, WIDTH // 2, 1]) / 10)  # Its brightness tells it.
        if number in self.hidden:
            return []
        return [self.truth[number]]

    def detect_all(self, images: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        return [self.detect(image) for image in images]

    def close(self) -> None:
        pass


RECORDS: dict[str, tuple[type, dict[str, str]]] = {
    "tracker": (
        TrackerOptions,
        {"tracker": "name", "tracker_model": "model", "landmarks": "landmarks",
         "detector": "detector"},
    ),
    "parser": (ParserOptions, {"parser": "name", "parser_weights": "weights"}),
    "fit": (
        FitOptions,
        {"face_model": "face_model", "fit": "method", "fit_weights": "weights"},
    ),
    "output": (
        OutputOptions,
        {name: name for name in ("name", "workspace", "preset", "with_audio", "consent", "force")},
    ),
}  # fmt: skip
"""Per record of `preprocess`: its type, and its fields by the names that the tests use."""


def run(video: Path, folder: Path, **options: object) -> PreprocessReport:
    """Preprocess with options named as on the command line, and a detector that needs no model."""
    given: dict[str, object] = {"workspace": folder / "targets", "parser": "geometry"}
    if "landmarks" not in options:
        given["detector"] = KnownFace()
    given |= options
    rest = {"settings": given.pop("settings", SETTINGS), "device": given.pop("device", None)}
    rest["on_progress"] = given.pop("on_progress", ignore_progress)
    records = {
        record: make(**{field: given.pop(name) for name, field in fields.items() if name in given})
        for record, (make, fields) in RECORDS.items()
    }
    assert not given, given
    return preprocess(video, **rest, **records)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PreprocessReport:
    folder = tmp_path_factory.mktemp("made")
    return run(make_clip(folder), folder, consent="the test", preset="tiny")


def test_a_consent_that_is_withdrawn_meanwhile_stays_withdrawn(tmp_path: Path) -> None:
    video = make_clip(tmp_path)
    target = run(video, tmp_path, consent="the test").target

    def take_back(report: Progress) -> None:
        if report.step.startswith("cropping"):
            withdraw(target)

    settings = replace(SETTINGS, media=replace(SETTINGS.media, crop_margin=2.0))
    run(video, tmp_path, settings=settings, on_progress=take_back)
    assert target.about.consent_withdrawn


def test_the_target_is_complete_and_says_what_it_was_made_from(made: PreprocessReport) -> None:
    target, about = made.target, made.target.about
    assert target.name == "clip"
    assert sorted(path.name for path in target.folder.iterdir()) == [
        "audio.wav", "frames.mkv", "parsing.mkv", "target.yaml", "track.safetensors",
    ]  # fmt: skip
    assert (about.frames, about.size_px, about.has_audio) == (FRAMES, 64, True)
    assert (about.source_width, about.source_height, about.frame_rate) == (WIDTH, HEIGHT, "25")
    assert (about.tracker, about.parser, about.preset) == ("known", "geometry", "tiny")
    assert about.face_model_hash == load_face_model().version
    assert about.consent == "the test"


def test_every_part_has_the_same_number_of_frames(made: PreprocessReport) -> None:
    target = made.target
    assert made.frames == target.track().frames == FRAMES
    assert sum(1 for _ in read_frames(target.frames_path)) == FRAMES
    assert sum(1 for _ in read_frames(target.parsing_path, gray=True)) == FRAMES
    assert len(read_sound(target.audio_path)) == FRAMES * 640
    assert probe(target.frames_path).frame_rate == 25


def test_the_landmarks_of_the_crop_are_those_of_the_source(made: PreprocessReport) -> None:
    about, track = made.target.about, made.target.track()
    crop = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
    back = source_from_crop(track.landmarks, crop, about.size_px)
    np.testing.assert_allclose(back, true_points(), atol=0.01)


def test_the_fit_follows_the_landmarks_and_finds_the_jaw(made: PreprocessReport) -> None:
    track, model = made.target.track(), load_face_model()
    assert made.error_percent < 1.0
    assert made.unusable_frames == ()
    jaw = track.z_exp[:, model.axis("jawOpen")]
    truth = 0.3 + 0.3 * np.sin(np.arange(FRAMES) * 0.8)
    assert np.corrcoef(jaw, truth)[0, 1] > 0.95


def test_the_stored_frames_are_the_crop_in_order(made: PreprocessReport) -> None:
    middle = [int(frame[32, 32, 1]) for frame in read_frames(made.target.frames_path)]
    np.testing.assert_allclose(middle, 10 * np.arange(FRAMES), atol=4)


def test_the_label_map_shows_the_mouth_where_the_lips_are(made: PreprocessReport) -> None:
    labels = next(read_frames(made.target.parsing_path, start_frame=3, frames=1, gray=True))
    x, y = made.target.track().landmarks[3, [0, 17]].mean(0)
    assert labels[int(y), int(x)] in (11, 12, 13)
    assert labels.max() <= 18


def test_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    video = make_clip(tmp_path)
    first = run(video, tmp_path)
    stamp = first.target.frames_path.stat().st_mtime_ns
    detector = KnownFace()
    second = run(video, tmp_path, detector=detector)
    assert second.up_to_date
    assert second.to_mapping()["reused"] == ["track", "frames", "parsing", "fit", "sound"]
    assert detector.looks == 0
    assert second.target.frames_path.stat().st_mtime_ns == stamp
    assert second.error_percent == first.error_percent


def test_another_size_is_made_without_tracking_again_and_stages_are_not_lost(
    tmp_path: Path,
) -> None:
    video = make_clip(tmp_path)
    target = run(video, tmp_path).target
    smaller = replace(SETTINGS, media=MediaSettings(size_px=80))
    detector = KnownFace()
    report = run(video, tmp_path, settings=smaller, detector=detector)
    assert report.reused == ("track", "sound")
    assert detector.looks == 0
    assert next(read_frames(target.frames_path)).shape == (80, 80, 3)
    assert target.about.size_px == 80

    (target.stage_folder("face") / "checkpoint").mkdir(parents=True)
    with pytest.raises(TargetError, match="trained stages \\(face\\)"):
        run(video, tmp_path)
    assert target.trained_stages() == ["face"]
    assert run(video, tmp_path, settings=smaller).up_to_date
    run(video, tmp_path, force=True)
    assert target.trained_stages() == []


def test_a_target_of_another_video_is_not_replaced_without_force(tmp_path: Path) -> None:
    run(make_clip(tmp_path), tmp_path)
    (tmp_path / "other").mkdir()
    other = make_clip(tmp_path / "other", sound=False)
    with pytest.raises(TargetError, match="made from another video"):
        run(other, tmp_path, with_audio=False)
    report = run(other, tmp_path, with_audio=False, force=True)
    assert not report.target.about.has_audio
    assert not report.target.audio_path.exists()


def test_frames_without_a_face_are_marked_and_kept(tmp_path: Path) -> None:
    report = run(make_clip(tmp_path), tmp_path, detector=KnownFace(hidden=(0, 9, 10)))
    assert report.unusable_frames == (0, 9, 10)
    track = report.target.track()
    assert report.frames == FRAMES
    assert np.isfinite(track.landmarks).all()
    assert np.isfinite(track.R).all()
    error = np.linalg.norm(np.diff(track.landmarks.mean(1), axis=0), axis=1)
    assert error.max() < 0.2 * eye_distance(track.landmarks).mean()


def test_no_face_at_all_names_the_size_and_leaves_nothing_behind(tmp_path: Path) -> None:
    video = make_clip(tmp_path)
    with pytest.raises(FaceNotFound, match=r"any of 24 frames \(200x160 pixels\)") as caught:
        run(video, tmp_path, detector=KnownFace(hidden=tuple(range(FRAMES))))
    assert "--landmarks" in (caught.value.hint or "")
    assert list(tmp_path.glob("targets/[!.]*")) == []


def test_a_video_without_sound_needs_to_be_asked_for(tmp_path: Path) -> None:
    video = make_clip(tmp_path, sound=False)
    with pytest.raises(MediaError, match="no sound") as caught:
        run(video, tmp_path)
    assert "--no-audio" in (caught.value.hint or "")
    assert run(video, tmp_path, with_audio=False).frames == FRAMES


def test_what_is_no_video_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    make_clip(tmp_path)
    with pytest.raises(MediaError, match="no picture"):
        run(tmp_path / "speech.wav", tmp_path)
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "clip.mp4").read_bytes()[:2000])
    with pytest.raises(DecodeError):
        run(tmp_path / "broken.mp4", tmp_path)
    with pytest.raises(DecodeError, match="does not exist"):
        run(tmp_path / "gone.mp4", tmp_path)
    assert list(tmp_path.glob("targets/[!.]*")) == []  # But for locks.


def test_a_video_that_was_cut_off_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    whole = make_clip(tmp_path).read_bytes()
    for share in (0.7, 0.5):  # Behind the last pictures there is sound.
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DecodeError, match=r"cut off or damaged: it ends after 0\.\d of 1\.0 s"):
            run(cut, tmp_path)
        with pytest.raises(DecodeError, match="cut off or damaged"):
            run(cut, tmp_path, landmarks=landmark_file(tmp_path, Fraction(25)))
    assert list(tmp_path.glob("targets/[!.]*")) == []  # But for locks.


def test_damage_that_costs_no_frames_is_reported(tmp_path: Path) -> None:
    video = make_clip(tmp_path, sound=False)
    assert run(video, tmp_path, with_audio=False).damage == ""
    raw = bytearray(video.read_bytes())
    middle = raw.index(b"mdat") + (len(raw) - raw.index(b"mdat")) // 2
    raw[middle : middle + 40] = bytes(range(40))
    (tmp_path / "spoilt.mp4").write_bytes(raw)
    # Which face is shown is not to be read from spoilt pictures.
    points = landmark_file(tmp_path, Fraction(25))
    report = run(tmp_path / "spoilt.mp4", tmp_path, with_audio=False, landmarks=points)
    assert report.frames >= FRAMES - 2
    assert "spoilt.mp4 is damaged" in report.damage
    assert report.to_mapping()["damage"] == report.damage


def test_a_video_of_one_frame_is_refused(tmp_path: Path) -> None:
    video = tmp_path / "one.mp4"
    with VideoWriter(video, WIDTH, HEIGHT, Fraction(25)) as writer:
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(MediaError, match="only one frame"):
        run(video, tmp_path, with_audio=False)
    assert not (tmp_path / "targets").exists() or not list((tmp_path / "targets").iterdir())


def test_frames_that_last_longer_are_shown_longer(tmp_path: Path) -> None:
    video = tmp_path / "variable.mkv"
    drop = "select='not(between(n,6,11))'"
    ffmpeg("-i", make_clip(tmp_path), "-vf", drop, "-fps_mode", "vfr", "-c:a", "copy", video)
    target = run(video, tmp_path).target
    shown = [round(int(frame[32, 32, 1]) / 10) for frame in read_frames(target.frames_path)]
    assert shown == [0, 1, 2, 3, 4, 5, *[5] * 6, *range(12, FRAMES)]


def test_a_video_that_was_filmed_upright_is_tracked_upright(tmp_path: Path) -> None:
    video = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", make_clip(tmp_path), "-c", "copy", video)
    turned = true_points()[..., ::-1] * (1, -1) + (0, WIDTH)  # A quarter turn to the left.
    path = tmp_path / "points.safetensors"
    tracked = Landmarks(
        points=turned.astype(np.float32),
        valid=np.ones(FRAMES, bool),
        width=HEIGHT,
        height=WIDTH,
        frame_rate=Fraction(25),
    )
    write_landmark_file(path, tracked)
    report = run(video, tmp_path, landmarks=path)
    about = report.target.about
    assert (about.source_width, about.source_height) == (HEIGHT, WIDTH)
    assert report.error_percent < 1.5


def test_a_folder_that_is_no_target_is_left_alone(tmp_path: Path) -> None:
    video = make_clip(tmp_path)
    mine = tmp_path / "targets" / "clip" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(TargetError, match="is not a target"):
        run(video, tmp_path)
    assert mine.read_text() == "mine"


def landmark_file(folder: Path, rate: Fraction, frames: int = FRAMES) -> Path:
    path = folder / "points.safetensors"
    tracked = Landmarks(
        points=true_points(frames),
        valid=np.ones(frames, bool),
        width=WIDTH,
        height=HEIGHT,
        frame_rate=rate,
    )
    write_landmark_file(path, tracked)
    return path


def test_landmarks_from_a_file_are_those_of_the_frames_kept(tmp_path: Path) -> None:
    rate = Fraction(30)
    video, points = make_clip(tmp_path, rate=rate), landmark_file(tmp_path, rate)
    report = run(video, tmp_path, landmarks=points)
    about, track = report.target.about, report.target.track()
    assert (report.frames, about.tracker, about.frame_rate) == (20, "file", "30")
    crop = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
    back = source_from_crop(track.landmarks, crop, about.size_px)
    # The stored picture says which source frame it is.
    kept = [round(int(f[32, 32, 1]) / 10) for f in read_frames(report.target.frames_path)]
    np.testing.assert_allclose(back, true_points()[kept], atol=0.01)


def wflw_points() -> np.ndarray:
    """The true points as a tracker of 98 points gives them: (T, 98, 2)."""
    ibug = true_points()[:, list(LANDMARKS_68)]
    points = np.repeat(ibug[:, 30:31], 98, axis=1)
    for number, (first, second) in enumerate(_WFLW):
        points[:, [first, second]] = ibug[:, number : number + 1]
    return points


class SparseFace(KnownFace):
    """Knows only the 98 points."""

    name = "facexlib"
    points = 98

    def __init__(self) -> None:
        super().__init__()
        self.truth = wflw_points()


def test_a_tracker_of_98_points_gives_a_target_with_a_whole_mesh(tmp_path: Path) -> None:
    video = make_clip(tmp_path)
    report = run(video, tmp_path, detector=SparseFace())
    target, track = report.target, report.target.track()
    assert target.about.tracker == "facexlib"
    assert report.unusable_frames == ()
    assert report.error_percent < 1.5
    crop = Crop(x=target.about.crop_x, y=target.about.crop_y, side=target.about.crop_side)
    assert track.tracked is not None
    seen = source_from_crop(track.tracked, crop, target.about.size_px)
    np.testing.assert_allclose(seen, wflw_points(), atol=0.02)
    # The points in between are as good as the fit.
    mesh = source_from_crop(track.landmarks, crop, target.about.size_px)
    assert mesh.shape == (FRAMES, 468, 2)
    apart = np.linalg.norm(mesh - true_points(), axis=-1) / eye_distance(true_points())[:, None]
    assert apart.mean() < 0.03
    assert apart[:, list(LIPS_INNER + LIPS_OUTER)].mean() < 0.03
    truth = mouth_opening(true_points())
    assert np.corrcoef(mouth_opening(track.landmarks), truth)[0, 1] > 0.95
    x, y = track.landmarks[3, [0, 17]].mean(0)
    labels = next(read_frames(target.parsing_path, start_frame=3, frames=1, gray=True))
    assert labels[int(y), int(x)] in (11, 12, 13)

    # Another size is made from what the tracker saw, without tracking and without loss.
    larger = replace(SETTINGS, media=MediaSettings(size_px=80))
    detector = SparseFace()
    second = run(video, tmp_path, settings=larger, detector=detector)
    assert detector.looks == 0
    about = second.target.about
    crop = Crop(x=about.crop_x, y=about.crop_y, side=about.crop_side)
    tracked = second.target.track().tracked
    assert tracked is not None
    np.testing.assert_allclose(source_from_crop(tracked, crop, 80), wflw_points(), atol=0.02)
    stiffer = replace(larger, fit=FitSettings(smoothness=2.0))
    third = run(video, tmp_path, settings=stiffer, detector=SparseFace())
    assert third.reused == ("track", "frames", "sound")  # Its labels are drawn from the fit.
    pictures = inspect(second.target).pictures
    assert all(path.stat().st_size > 0 for path in pictures)


def test_sixty_eight_points_from_a_file_make_a_target_too(tmp_path: Path) -> None:
    path = tmp_path / "points.safetensors"
    tracked = Landmarks(
        points=true_points()[:, list(LANDMARKS_68)],
        valid=np.arange(FRAMES) != 5,
        width=WIDTH,
        height=HEIGHT,
        frame_rate=Fraction(25),
    )
    write_landmark_file(path, tracked)
    report = run(make_clip(tmp_path), tmp_path, landmarks=path)
    assert report.unusable_frames == (5,)
    track = report.target.track()
    assert track.landmarks.shape == (FRAMES, 468, 2)
    assert track.tracked is not None
    assert track.tracked.shape == (FRAMES, 68, 2)


def test_landmarks_of_another_video_are_refused(tmp_path: Path) -> None:
    video, points = make_clip(tmp_path), landmark_file(tmp_path, Fraction(25), frames=40)
    with pytest.raises(MediaError, match="40 frames, the video has 24"):
        run(video, tmp_path, landmarks=points)


def test_without_a_wish_the_parser_is_the_best_that_is_here_and_recorded(
    tmp_path: Path,
) -> None:
    video = make_clip(tmp_path)
    assert run(video, tmp_path, parser=None).target.about.parser == "geometry"
    path = weights_entry("bisenet").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not these")
    with pytest.raises(WeightsCorrupt, match="has 9 bytes"):
        run(video, tmp_path, parser=None)
    path.unlink()
    small = weights_entry("bisenet_v2")
    for piece, _, _ in small.files_in(small.path):
        piece.parent.mkdir(parents=True, exist_ok=True)
        piece.write_bytes(b"not these")
    with pytest.raises(WeightsCorrupt, match=r"bisenet_v2.* has 9 bytes"):
        run(video, tmp_path, parser=None)


def test_missing_weights_name_what_to_type(tmp_path: Path) -> None:
    video = make_clip(tmp_path)
    with pytest.raises(WeightsMissing) as caught:
        run(video, tmp_path, parser="bisenet")
    assert "--parser geometry" in (caught.value.hint or "")
    with pytest.raises(WeightsMissing) as caught:
        run(video, tmp_path, parser="bisenet-v2")
    assert "pirctl models pull bisenet_v2" in (caught.value.hint or "")
    with pytest.raises(WeightsMissing) as caught:
        run(video, tmp_path, detector=None)
    hint = caught.value.hint or ""
    assert "pirctl models pull face_landmarker" in hint
    assert "--landmarks FILE" in hint
    with pytest.raises(WeightsMissing) as caught:
        run(video, tmp_path, detector=None, tracker="facexlib")
    hint = caught.value.hint or ""
    assert "pirctl models pull retinaface_resnet50 awing" in hint
    assert "--tracker mediapipe" in hint
    assert "--landmarks FILE" in hint


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    video, points = make_clip(tmp_path), landmark_file(tmp_path, Fraction(25))
    with pytest.raises(SettingsError, match="nothing for a tracker to do"):
        run(video, tmp_path, landmarks=points, tracker="facexlib")
    with pytest.raises(SettingsError, match="is MediaPipe's model"):
        run(video, tmp_path, detector=None, tracker="facexlib", tracker_model=points)


def test_sound_is_cut_or_continued_with_silence() -> None:
    blocks = [np.ones(5, np.float32), np.ones(4, np.float32)]
    assert np.concatenate(list(exactly(blocks, 7))).tolist() == [1] * 7
    assert np.concatenate(list(exactly(blocks, 12))).tolist() == [1] * 9 + [0] * 3


def test_a_name_from_outside_cannot_leave_the_workspace(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be used"):
        run(make_clip(tmp_path), tmp_path, name="../elsewhere")


def test_the_source_is_recorded_so_that_it_is_found_from_anywhere_and_after_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_clip(tmp_path)
    monkeypatch.chdir(tmp_path)
    target = run(Path("clip.mp4"), tmp_path).target
    about = target.about
    assert about.source == str(video)
    state = video.stat()
    assert (about.source_bytes, about.source_mtime_ns) == (state.st_size, state.st_mtime_ns)
    moved = tmp_path / "films" / "clip.mp4"
    moved.parent.mkdir()
    video.rename(moved)
    again = run(moved, tmp_path)
    assert again.up_to_date
    assert target.about == replace(about, source=str(moved))
