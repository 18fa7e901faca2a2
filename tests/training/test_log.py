from __future__ import annotations

from pathlib import Path

from pirctl.training.log import TrainingLog


def _written(path: Path) -> TrainingLog:
    log = TrainingLog(path)
    log.open(0)
    for step in range(1, 5):
        log.add({"fit": float(step), "edge": 1.0})
        if step % 2 == 0:
            log.write(step=step, learning_rate=0.1)
    return log


def test_a_line_holds_the_means_since_the_line_before(tmp_path: Path) -> None:
    curves = _written(tmp_path / "log.jsonl").curves()
    assert curves == {"fit": [(2, 1.5), (4, 3.5)], "edge": [(2, 1.0), (4, 1.0)]}


def test_going_on_keeps_the_lines_up_to_that_step_and_drops_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    _written(path)
    with path.open("a") as file:
        file.write('{"st')
    log = TrainingLog(path)
    log.open(2)
    assert log.curves()["fit"] == [(2, 1.5)]
    assert len(path.read_text().splitlines()) == 1


def test_starting_anew_empties_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    _written(path)
    log = TrainingLog(path)
    log.open(0)
    assert (log.curves(), path.read_text()) == ({}, "")
