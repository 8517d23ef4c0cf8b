"""The real command: it searches, it is killed, the same command goes on, and its results read back."""

import json
import subprocess
import sys
import time

import pytest
from command import QUICK, command, finish, start
from ports import free_ports

from td3sweep.sweep import frame

SEARCH = [
    "--multirun", *QUICK, "steps=100", "eval_every=20", "save_every=20", "sweep.trials=4", "sweep.width=2",
    "hyperparams.gamma=one_minus(tag(log,interval(1e-3,0.1)))", "hyperparams.batch_size=choice(8,16)",
]  # fmt: skip


def show(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "td3sweep.sweep", *map(str, arguments)], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["space=gamma_tau_lr_batch"], "sweep.trials=null: this space has no end"),
        (["hyperparams.gamma=tag(log,interval(0,1))"], "log needs a positive lower end"),
        (["space=nonsense"], "space=nonsense: no such option; choose space= one of ablation, architecture, full"),
        (["cnn=nature,pooled", "sweep.pruner_options={foo:1}"], "one by one: +sweep.pruner_options.NAME=VALUE"),
        (["cnn=nature,pooled", "hydra/launcher=joblib"], "hydra/launcher=joblib: no such option"),
    ],
)
def test_a_wrong_request_is_one_line_and_makes_nothing(tmp_path, arguments, said):
    code, _, err = command("--multirun", *arguments, f"hydra.sweep.dir={tmp_path}/sweep")
    assert code == 2, err
    assert [said in line for line in err.splitlines() if line.startswith("td3sweep: ")] == [True]
    assert "Traceback" not in err
    assert not (tmp_path / "sweep").exists()


def test_a_directory_without_a_sweep_is_one_line(tmp_path):
    assert show(tmp_path) == (
        2,
        "",
        f"td3sweep: {tmp_path}: no sweep there (no spec.json); give the directory of a sweep\n",
    )


@pytest.mark.slow
def test_it_is_killed_and_the_same_command_meets_the_budget(tmp_path):
    directory = tmp_path / "sweep"
    arguments = [*SEARCH, "sweep.enqueue=[]", f"hydra.sweep.dir={directory}"]
    process = start(*arguments)
    while not list(directory.glob("*/seed-0/checkpoints/*.pt")):
        assert process.poll() is None, finish(process)
        time.sleep(0.05)
    process.kill()
    finish(process)
    code, out, err = command(*arguments)
    assert code == 0, err
    assert "4 of 4 trials ended" in out
    found = json.loads((directory / "sweep.json").read_text())
    assert found["states"] == {"COMPLETE": 4}
    for trial in found["trials"]:
        run = directory / str(trial["first"]) / "seed-0"
        gamma = next(line for line in (run / "config.yaml").read_text().splitlines() if "  gamma: " in line)
        assert f"hyperparams.gamma={float(gamma.split()[1])!r}" in trial["overrides"]
        summary = json.loads((run / "summary.json").read_text())
        assert (summary["finished"], summary["env_steps"]) == (True, 100)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        evaluations = [row["eval/return"] for row in rows if row["phase"] == "evaluation" and row["updates"]]
        assert trial["value"] == pytest.approx(sum(evaluations[-3:]) / len(evaluations[-3:]))
    assert command(*arguments)[1].count("COMPLETE return") == 0  # nothing is left to do
    table = frame(directory)
    assert list(table["value"]) == [trial["value"] for trial in found["trials"]]
    assert {"1-hyperparams.gamma", "hyperparams.batch_size"} <= set(table.columns)
    code, out, _ = show(directory)
    assert (code, out.count("COMPLETE return")) == (0, 4)
    assert show(directory, "--csv")[1].splitlines()[0].startswith("number,first,attempt,state,value")
    assert json.loads(show(directory, "--json")[1])["best"] == found["best"]


@pytest.mark.slow
def test_hopeless_and_diverging_trials_are_pruned_without_a_score(tmp_path):
    """A point whose critic explodes is stopped by the monitor; a pruner that calls all hopeless ends the rest early."""
    arguments = [
        "--multirun", *QUICK, "steps=160", "eval_every=20", "reward=described_20nov", "pre_tanh_penalty=0", "clip=off",
        "hyperparams.critic_lr=1.0,1e-4", "hyperparams.actor_lr=1e-4", "log_every=5",
        f"hydra.sweep.dir={tmp_path}/sweep",
    ]  # fmt: skip
    code, out, err = command(*arguments)
    assert code == 0, err
    first, second = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["trials"]
    assert (first["state"], first["value"]) == ("PRUNED", None), out
    assert first["verdict"] in ("diverging", "collapsed")
    assert first["runs"][0]["env_steps"] < 160
    assert second["state"] == "COMPLETE"


@pytest.mark.slow
def test_a_server_that_is_not_there_is_one_line_and_the_trial_is_tried_again_by_the_same_command(tmp_path):
    (port,) = free_ports(1)
    arguments = [
        "--multirun", *QUICK, "env.server=connect", f"env.port={port}", "env.timeouts.start=2", "cnn=nature,pooled",
        "sweep.trials=1", "sweep.retries=0", f"hydra.sweep.dir={tmp_path}/sweep",
    ]  # fmt: skip
    for attempts in (1, 2):
        code, out, err = command(*arguments)
        assert code == 1, out + err
        assert [str(port) in line for line in err.splitlines()] == [True], err
        assert err.startswith("td3sweep: every trial failed; the last one: ")
        log = (tmp_path / "sweep" / "0" / "worker.log").read_text()
        assert log.count("td3sweep: ") == attempts
