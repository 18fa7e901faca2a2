"""`pirctl verify`: what a video says about its making, and whether that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_result


def verify(
    video: Annotated[Path, typer.Argument(help="Any video; of pirctl or of another maker.")],
    trust: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Certificates that you trust to vouch for signers, for example the C2PA trust "
            "list.",
        ),
    ] = None,
    json_output: options.Json = False,
) -> None:
    """Say what a video claims about how it was made, and whether it is still what was signed.

    Ends with 0 if a manifest holds; 3 if the video was changed, cut, or its manifest is broken; 4
    if only a comment says what it is, or the manifest was taken out; 5 if it says nothing.

    \b
    pirctl verify dubbed.mp4
    pirctl verify dubbed.mp4 --json
    """  # noqa: D301
    from pirctl.provenance.verify import EXIT_CODES, signer_words
    from pirctl.provenance.verify import verify as verify_video

    verdict = verify_video(video, trust)
    if json_output:
        print_json({"video": video, **vars(verdict), "exit": EXIT_CODES[verdict.outcome]})
    else:
        print_result(f"{video}: {verdict.summary}")
        if verdict.signer is not None:
            print_result(f"  {signer_words(verdict.signer)}")
        if verdict.claims and verdict.outcome != "holds":
            print_result("what it said of itself when it was signed:")
        for claim in verdict.claims:
            print_result(f"  {claim}")
    if verdict.outcome != "holds":
        raise typer.Exit(EXIT_CODES[verdict.outcome])
