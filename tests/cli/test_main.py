from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from pirctl import __version__, cli
from pirctl.cli.output import print_json
from pirctl.cli.progress import Lines, show_progress
from pirctl.errors import PirctlError
from pirctl.progress import Progress

HEAVY = {"torch", "cv2", "librosa", "transformers", "mediapipe", "matplotlib", "av", "numba"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from pirctl.cli import main; raise SystemExit(main())", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """An app whose command `fail` raises what is put under "error"."""
    holder: dict[str, BaseException] = {}
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise holder["error"]

    @app.command()
    def succeed() -> None:
        pass

    monkeypatch.setattr(cli, "app", app)
    return holder


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pirctl.cli import main; status = main(['--help']);"
        f"print(sorted({HEAVY} & set(sys.modules)), status, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[] 0"
    for command in ("preprocess", "reenact", "models"):
        assert command in result.stdout


def test_the_version_is_shown() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"pirctl {__version__}\n")


def test_a_wrong_command_line_ends_with_2_and_a_clean_stdout() -> None:
    result = run("preproces")
    assert (result.returncode, result.stdout) == (2, "")
    assert "preproces" in result.stderr


def test_a_known_error_is_two_lines_on_stderr_and_status_1() -> None:
    result = run("models", "path", "bisnet")
    assert (result.returncode, result.stdout) == (1, "")
    error, hint = result.stderr.splitlines()
    assert error == "error: there is no model file 'bisnet'"
    assert hint.startswith("hint: did you mean bisenet?")


def test_debugging_shows_the_traceback_of_a_known_error() -> None:
    result = run("models", "path", "bisnet", PIRCTL_DEBUG="1")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_an_error_without_a_hint_has_one_line(
    failing: dict[str, BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing["error"] = PirctlError("it broke")
    assert cli.main(["fail"]) == 1
    assert capsys.readouterr().err == "error: it broke\n"


def test_what_steers_a_terminal_or_cannot_be_encoded_is_escaped_in_messages(
    failing: dict[str, BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    failing["error"] = PirctlError("bad \x1b[2J\x07\u202e\udcff, but München", hint="see \x9b1m")
    assert cli.main(["fail"]) == 1
    assert capfd.readouterr().err == (
        "error: bad \\x1b[2J\\x07\\u202e\\udcff, but München\nhint: see \\x9b1m\n"
    )


def test_a_file_name_that_is_not_utf_8_is_an_error_in_words(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    Path(name).write_bytes(b"not empty")
    result = run("preprocess", name, "--preset", "tiny", "--target", "bob")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "caf\\udce9.mp4 has a name that is not UTF-8" in result.stderr
    assert "hint: rename it" in result.stderr


def test_an_interrupt_ends_with_130(failing: dict[str, BaseException]) -> None:
    failing["error"] = KeyboardInterrupt()
    assert cli.main(["fail"]) == 130
    assert cli.main(["succeed"]) == 0


def test_a_bug_shows_itself(failing: dict[str, BaseException]) -> None:
    failing["error"] = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError):
        cli.main(["fail"])


def test_sigterm_unwinds_like_an_interrupt(tmp_path: Path) -> None:
    code = f"""
import time, typer
from pathlib import Path
from pirctl import cli
from pirctl.files import atomic_file
app = typer.Typer(pretty_exceptions_enable=False)
@app.command()
def wait():
    with atomic_file(Path({str(tmp_path)!r}) / "a") as temporary:
        temporary.write_text("half")
        time.sleep(60)
cli.app = app
raise SystemExit(cli.main([]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    until = time.monotonic() + 20
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (143, b"stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list"]) == 0
    assert "licence: Apache-2.0" in capsys.readouterr().out
    assert cli.main(["models", "list", "--json"]) == 0
    assert '"here": false' in capsys.readouterr().out


def test_progress_lines_are_few_and_tell_rate_and_time_left() -> None:
    now_s = 0.0

    class Stream:
        lines: list[str] = []  # noqa: RUF012

        def write(self, text: str) -> None:
            self.lines += [text] if text.strip() else []

        def flush(self) -> None:
            pass

    lines = Lines(Stream(), clock=lambda: now_s)  # type: ignore[arg-type]
    for done in range(101):
        lines(Progress(step="tracking", done=done, total=100, note=f"frame {done}"))
        now_s += 0.2
    lines(Progress(step="fitting", done=3, total=None, unit="steps"))
    lines.finish()
    assert len(Stream.lines) == 6
    assert Stream.lines[0] == "tracking: 0/100 frames, frame 0"
    assert "25/100 frames, 5.0 frames/s, 0:05 elapsed, 0:15 left" in Stream.lines[1]
    assert Stream.lines[-2].startswith("tracking: 100/100 frames")
    assert Stream.lines[-1] == "fitting: 3 steps"


def test_the_time_left_is_what_the_work_says_where_it_knows() -> None:
    import io

    now_s, stream = 0.0, io.StringIO()
    lines = Lines(stream, clock=lambda: now_s)
    lines(Progress(step="training", done=0, total=100, unit="steps", left_s=700))
    now_s = 6.0
    lines(Progress(step="training", done=50, total=100, unit="steps", left_s=600))
    assert stream.getvalue().splitlines() == [
        "training: 0/100 steps, 11:40 left",
        "training: 50/100 steps, 8.3 steps/s, 0:06 elapsed, 10:00 left",
    ]


def test_bytes_are_told_in_a_unit_that_fits_and_waiting_without_any() -> None:
    import io

    stream = io.StringIO()
    lines = Lines(stream, clock=lambda: 0.0)
    lines(Progress(step="waiting", done=0, total=None, unit="bytes"))
    lines(Progress(step="small", done=300, total=615, unit="bytes"))
    lines(Progress(step="large", done=300_000, total=4_000_000, unit="bytes"))
    lines(Progress(step="unknown", done=300_000, total=None, unit="bytes"))
    assert stream.getvalue().splitlines() == [
        "waiting", "small: 0.3/0.6 kB", "large: 0.3/4.0 MB", "unknown: 0.3 MB",
    ]  # fmt: skip


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(quiet=True) as on_progress:
        on_progress(Progress(step="tracking", done=1, total=2))
    with show_progress() as on_progress:
        on_progress(Progress(step="tracking", done=1, total=2))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "tracking: 1/2 frames\n"


def test_bars_are_drawn_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with show_progress() as on_progress:
        on_progress(Progress(step="tracking", done=1, total=2, note="hello"))
        on_progress(Progress(step="tracking", done=2, total=2))
        on_progress(Progress(step="fitting", done=1, total=None, unit="steps"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "tracking" in captured.err
    assert "2/2" in captured.err


def test_json_takes_paths_fractions_and_numbers_of_numpy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fractions import Fraction

    import numpy as np

    print_json({"a": Path("b"), "r": Fraction(25, 2), "n": np.float32(1.5), "x": float("nan")})
    assert capsys.readouterr().out == (
        '{\n  "a": "b",\n  "r": "25/2",\n  "n": 1.5,\n  "x": null\n}\n'
    )
