"""Looking at a sweep changes nothing in its directory."""

import pytest
from optuna.trial import TrialState
from sweeps import make_ledger, make_spec

from td3sweep.errors import UserError
from td3sweep.process.lease import Lease
from td3sweep.sweep import __main__ as module
from td3sweep.sweep import frame
from td3sweep.sweep.results import read


def content(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("database", [False, True])
def test_a_look_leaves_every_file_as_it_is(tmp_path, database):
    directory = tmp_path / "sweep"
    ledger = make_ledger(directory, storage=f"sqlite:///{tmp_path}/study.db" if database else None)
    with Lease(directory / "controllers" / "me.json") as mine:
        ledger.tell(ledger.claim(mine.path, 2).number, TrialState.COMPLETE, [4.5])
    (directory / ".lock").unlink()  # the owner's; a reader of somebody else's sweep could not make it
    before = content(tmp_path)
    assert read(directory)["best"]["value"] == 4.5
    assert list(frame(directory)["value"]) == [4.5]
    assert content(tmp_path) == before


def test_a_sweep_that_has_not_begun_is_one_line_and_stays_so(tmp_path):
    make_spec().save(tmp_path)
    with pytest.raises(UserError, match=r"the sweep has not begun: no study\.journal in it"):
        read(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def test_watching_goes_on_while_a_controller_lives_though_no_worker_does(tmp_path, monkeypatch):
    ledger, lease, naps = make_ledger(tmp_path), Lease(tmp_path / "controllers" / "me.json"), []

    def sleep(_):
        naps.append(1)
        if len(naps) == 3:
            lease.__exit__(None, None, None)

    monkeypatch.setattr(module.time, "sleep", sleep)
    with lease:
        ledger.claim(lease.path, 1)  # its job waits in a queue
        module.show(tmp_path, watch=True)
    assert len(naps) == 3
