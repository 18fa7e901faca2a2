"""Make the bundled face model and its card from a folder of clips.

python -m pirctl.face.build CLIPS --tracker-model FILE --output FILE --report FILE
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from pirctl.face.build.assemble import build_model, mesh_triangles
from pirctl.face.build.card import leave_one_out, write_card
from pirctl.face.build.measure import measure_all
from pirctl.face.model import read_face_model, write_face_model


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the model; see the package."""
    parser = argparse.ArgumentParser(description="Build the bundled face model from clips.")
    parser.add_argument("clips", type=Path, help="folder of .mp4 clips, one person each")
    parser.add_argument("--tracker-model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="model card; takes minutes, it leaves one out")
    parser.add_argument("--cache", type=Path, help="folder for measured points, to rebuild quickly")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    people = measure_all(options.clips, options.tracker_model, options.cache)
    model = build_model(people, mesh_triangles())
    write_face_model(model, options.output)
    if options.report:
        left_out = leave_one_out(people, mesh_triangles())
        write_card(options.report, read_face_model(options.output), people, left_out)


if __name__ == "__main__":
    main()
