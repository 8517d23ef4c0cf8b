"""wandb's offline runs: really made by wandb, then whole, cut off and foreign."""

import subprocess
import sys

import pytest

from td3sweep.errors import UserError
from td3sweep.logs.find import read
from td3sweep.logs.named import under_our_names

SCRIPT = """
import sys, wandb
quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
run = wandb.init(mode="offline", dir=sys.argv[1], config={"agent": {"gamma": 0.95}}, settings=quiet)
for step in range(0, 1000, 10):
    run.log({"global_step": step, "losses": {"qf1_values": step / 2}, "phase": "learning", "picture": "none"})
run.log({"losses": {"qf1_values": float("nan")}})
run.finish()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of one offline run."""
    path = tmp_path_factory.mktemp("wandb_run")
    subprocess.run([sys.executable, "-c", SCRIPT, path], check=True, capture_output=True)
    return path


def the_file(path):
    [file] = [file for file in path.rglob("*.wandb") if "latest-run" not in file.parts]
    return file


def test_history_configuration_and_end(made):
    log = under_our_names(read(made), {}, None)
    assert [row.step for row in log.rows[:3]] == [0, 10, 20]
    assert log.rows[2].values["q/q1"] == 10.0
    assert log.rows[2].phase == "learning"
    assert (log.rows[-1].step, log.rows[-1].values["q/q1"] != log.rows[-1].values["q/q1"]) == (990, True)
    assert (log.gamma, log.finished) == (0.95, True)


def test_a_run_that_was_cut_off_is_read_up_to_there(made, tmp_path):
    content = the_file(made).read_bytes()
    (tmp_path / "run-a.wandb").write_bytes(content[: len(content) // 2])
    log = read(tmp_path)
    assert 20 < len(log.rows) < 80
    assert not log.finished
    assert log.notes == ["run-a.wandb: its end is missing (the run goes on or was killed); whole records were read"]


def test_a_foreign_file(tmp_path):
    (tmp_path / "run-b.wandb").write_bytes(b"junk" * 300)
    with pytest.raises(UserError, match=r"run-b.wandb: wandb cannot read it: .*invalid W&B identifier"):
        read(tmp_path)
