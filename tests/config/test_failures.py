"""What the machine refuses, as one line that says what to do."""

import errno
import os

import pytest

from td3sweep.config.failures import explain_failure


@pytest.mark.parametrize(("readable", "remedy"), [(False, "give yourself read permission"), (True, "you can write to")])
def test_reading_and_writing_that_are_not_allowed_have_remedies_of_their_own(tmp_path, monkeypatch, readable, remedy):
    file = tmp_path / "step-5.pt"
    file.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: readable or (path, mode) != (str(file), os.R_OK))
    line, code = explain_failure(PermissionError(errno.EACCES, "Permission denied", str(file)))
    assert (str(file) in line, remedy in line, code) == (True, True, 2)


def test_a_folder_that_cannot_be_made_asks_for_another(tmp_path):
    line, code = explain_failure(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "runs")))
    assert ("choose a directory you can write to" in line, code) == (True, 2)


def test_two_of_hydras_modes_at_once():
    said = "Only one of --run, --multirun, --cfg, --info and --shell_completion can be specified"
    assert explain_failure(ValueError(said)) == (f"{said}; --cfg shows a single run, so drop --multirun", 2)
