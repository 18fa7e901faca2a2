"""The command line: `main` is the only place where errors end and the only one that exits.

Exit status: 0 done; 1 an error that the user can mend, told in an `error:` and a `hint:` line; 2 a
command line that makes no sense; 3 to 5 what `verify` found; 130 Ctrl-C; 143 stopped by SIGTERM.
Anything else is a bug of ours and shows its traceback, as everything does under PIRCTL_DEBUG=1. One
file per command; the commands import what is heavy inside, so that `pirctl --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from pirctl import __version__
from pirctl.cli import (
    batch,
    bench,
    check,
    consent,
    demo,
    doctor,
    dub,
    evaluate,
    faces,
    inspect,
    models,
    preprocess,
    reenact,
    report,
    train,
    verify,
)
from pirctl.cli.output import print_message, printable
from pirctl.errors import PirctlError

app = typer.Typer(
    name="pirctl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Put new speech on a speaker's lips, in the original shot.",
    epilog="pirctl dub video.mp4 --audio speech.wav",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"pirctl {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


# The commands, in the order in which they are used.
app.command("check")(check.check)
app.command("faces")(faces.faces)
app.command("dub")(dub.dub)
app.command("batch")(batch.batch)
app.command("preprocess")(preprocess.preprocess)
app.command("train")(train.train)
app.command("reenact")(reenact.reenact)
app.command("verify")(verify.verify)
app.command("consent")(consent.consent)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("demo")(demo.demo)
app.command("inspect")(inspect.inspect)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")


class _Stopped(BaseException):
    """SIGTERM, as an exception, so that files are closed and processes ended on the way out."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


class _Printable(logging.Formatter):
    """Log records hold names from files of others too."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _has_debug() -> bool:
    return os.environ.get("PIRCTL_DEBUG", "") not in {"", "0"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; None takes `sys.argv`.

    Returns:
        The exit status.
    """
    logging.addLevelName(logging.WARNING, "warning")
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if _has_debug():
        logging.getLogger("pirctl").setLevel(logging.DEBUG)
    # Before anything imports torch; see there.
    from pirctl.device import prepare_allocator, prepare_threads

    prepare_allocator()
    prepare_threads()
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: list[str] | None) -> int:
    try:
        app(args=arguments, prog_name="pirctl")
    except PirctlError as error:
        if _has_debug():
            raise
        print_message(f"error: {error.message}")
        if error.hint:
            print_message(f"hint: {error.hint}")
        return 1
    except SystemExit as exit_:
        # Typer's own: 0 at the end, 2 for a wrong command line, 130 for Ctrl-C.
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except _Stopped:
        print("stopped", file=sys.stderr)
        return 143
    return 0
