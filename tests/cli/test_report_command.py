from __future__ import annotations

import json
import shutil

from tests.cli.conftest import Command
from tests.evaluate.test_report import a_run, scores


def test_a_target_that_was_evaluated_becomes_a_page(pirctl: Command, workspace, tmp_path) -> None:
    outcome = pirctl("report", "anna")
    assert outcome.status == 1
    assert "error: targets/anna/evaluate has no scores.json" in outcome.err
    assert "hint: pirctl evaluate" in outcome.err
    a_run(workspace / "anna" / "evaluate", scores())
    outcome = pirctl("report", "anna")
    assert (outcome.status, outcome.out) == (0, "anna_report.html\n"), outcome.err
    assert "nearer to the truth" in outcome.err
    assert (tmp_path / "anna_report.html").read_text().startswith("<!doctype html>")


def test_two_runs_are_compared_by_folder_or_name(pirctl: Command, workspace, tmp_path) -> None:
    a_run(workspace / "anna" / "evaluate", scores())
    other = a_run(tmp_path / "other", scores("bert", 1.5))
    outcome = pirctl("report", "anna", other, "--json", "--quiet")
    assert (outcome.status, outcome.err) == (0, "")
    told = json.loads(outcome.out)
    assert (told["page"], len(told["verdicts"])) == ("anna_bert_report.html", 2)
    assert pirctl("report", "anna", other, other).status == 2
    shutil.copy(tmp_path / "anna_bert_report.html", tmp_path / "mine.html")
    outcome = pirctl("report", "anna", "--output", "mine.html")
    assert outcome.status == 1
    assert "mine.html exists already" in outcome.err
