"""Which row goes where, and when a job ends, is what it was: `golden_runs` keeps runs in virtual time."""

import json

import pytest

import golden_runs

KEPT = json.loads(golden_runs.FILE.read_text())


@pytest.mark.parametrize("code", golden_runs.CODES)
def test_runs_go_as_they_went(code):
    for history, run in golden_runs.runs(code).items():
        assert run == KEPT[f"{code}, {history}"], history


def test_every_run_that_is_kept_is_run():
    assert set(KEPT) == {f"{code}, {history}" for code in golden_runs.CODES for history in golden_runs.HISTORIES}
