"""Several processes share a study in a real PostgreSQL, which dies and comes back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweeps import make_spec

pytestmark = pytest.mark.slow
optuna = pytest.importorskip("optuna")
pytest.importorskip("psycopg")
OPENING = """\
import sys, time
from pathlib import Path
from sweeps import SPACE
from td3sweep.sweep.spec import load_spec
from td3sweep.sweep.study import Ledger

directory = Path(sys.argv[1])
print("ready", flush=True)
while not (directory / "go").exists():
    time.sleep(0.001)
Ledger(load_spec(directory), directory, SPACE)
"""


def test_a_study_survives_the_servers_death(postgres):
    study = optuna.create_study(study_name="s", storage=postgres.url)
    study.tell(study.ask(), 1.5)
    postgres.restart()
    again = optuna.load_study(study_name="s", storage=optuna.storages.RDBStorage(postgres.url))
    assert [trial.value for trial in again.trials] == [1.5]


def test_five_array_tasks_open_an_empty_database_at_the_same_time(postgres, tmp_path):
    make_spec(storage=postgres.url).save(tmp_path)
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", OPENING, str(tmp_path)]
    tasks = [subprocess.Popen(command, env=here, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    assert [task.stdout.readline() for task in tasks] == ["ready\n"] * 5
    (tmp_path / "go").touch()
    assert [task.wait(60) for task in tasks] == [0] * 5
    summaries = optuna.get_all_study_summaries(postgres.url)
    assert [summary.study_name for summary in summaries] == ["toy"]
