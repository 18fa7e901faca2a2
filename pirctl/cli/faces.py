"""`pirctl faces`: who is in a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pirctl.cli import options
from pirctl.cli.output import print_json, print_result
from pirctl.cli.progress import show_progress
from pirctl.cli.tables import print_table


def faces(
    video: Annotated[Path, typer.Argument(help="A video.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Sheet to write.  [default: VIDEO_faces.png]"),
    ] = None,
    tracker: options.Tracker = None,
    tracker_model: options.TrackerModel = None,
    force: options.Force = False,
    device: options.Device = None,
    offline: options.Offline = False,
    workspace: options.Workspace = None,
    json_output: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the people of a video, and number them by their time on the screen.

    The numbers are those that --face and the column `face` of cues mean. The sheet shows a row of
    pictures for each; "speaks" is whose mouth moves most while a voice is heard.

    \b
    pirctl faces interview.mp4
    pirctl dub interview.mp4 --audio speech.wav --face 2
    """  # noqa: D301
    from rich.table import Table

    from pirctl.errors import MediaError
    from pirctl.files import check_writable, file_hash
    from pirctl.media import probe
    from pirctl.prepare.faces import ranges_of, write_sheet
    from pirctl.prepare.options import TrackerOptions
    from pirctl.prepare.people import find_people
    from pirctl.target.workspace import workspace_folder

    sheet = output or Path(f"{video.stem}_faces.png")
    info = probe(video)
    if not info.has_video:
        raise MediaError(f"{video} has no picture, only sound", hint="give a video")
    if sheet.suffix.lower() != ".png":
        raise MediaError(f"{sheet} is no name for a picture", hint="end --output in .png")
    # The sheet of the default name is our own, and made again.
    check_writable(sheet, force=force or output is None)
    with show_progress(quiet) as on_progress:
        cast = find_people(
            info,
            file_hash(video, on_progress=on_progress),
            TrackerOptions(name=tracker, model=tracker_model),
            workspace_folder(workspace),
            device=device,
            on_progress=on_progress,
        )
        write_sheet(sheet, info, cast)
    speaker = cast.speaker.number
    if json_output:
        print_json(
            {
                "video": str(video),
                "seconds": cast.seconds,
                "told_by": cast.told_by,
                "speaker": speaker,
                "sheet": str(sheet),
                "faces": [
                    {"number": p.number, "seconds": p.seconds, "ranges_s": list(ranges_of(p))}
                    for p in cast.people
                ],
            }
        )
        return
    table = Table()
    for head in ("face", "on screen", "share", "from", "to", ""):
        table.add_column(head, justify="right")
    for person in cast.people:
        table.add_row(
            str(person.number),
            f"{person.seconds:.1f} s",
            f"{person.seconds / max(1e-9, cast.seconds):.0%}",
            f"{person.stretches[0].first_s:.1f} s",
            f"{person.stretches[-1].last_s:.1f} s",
            "speaks" if person.number == speaker else "",
        )
    print_table(table)
    print_result(sheet)
