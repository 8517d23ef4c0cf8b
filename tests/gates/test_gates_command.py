"""The command: it extends what passed, stops at what failed, goes on after a signal, and exits by what became of it."""

import json
import os
import signal
import subprocess
import sys

import pytest
from command import PLAIN, QUICK
from toy_env import DotEnv

from td3sweep.errors import SimulatorError
from td3sweep.gates.__main__ import _settings, main
from td3sweep.training import run as run_module
from td3sweep.training.checkpoint import read_checkpoint

TOY = (
    *PLAIN, "env=gym", "reward=none", "hyperparams=paper", "clip=joint", "n_step=1", "trunk=null", "warmup=20",
    "hyperparams.batch_size=8", "updates_per_step=2", "log_every=1", "replay.capacity=500",
)  # fmt: skip


@pytest.fixture
def gates(monkeypatch, tmp_path, capsys):
    """The command on a toy environment in one directory: its exit code, its output, gates.json and the runs it made."""
    path = tmp_path / "run"
    monkeypatch.setattr(run_module, "build_env", lambda *_: DotEnv())

    def go(*words, at="40,60"):
        with pytest.raises(SystemExit) as ending:
            main([*TOY, *words, "--gates", at, "--dir", str(path)])
        record = json.loads((path / "gates.json").read_text()) if (path / "gates.json").exists() else {}
        shown = capsys.readouterr()
        return ending.value.code, shown.out + shown.err, record

    go.path = path
    return go


def outcomes(record):
    return [(one["gate"], one["step"], one["outcome"]) for one in record["judged"]]


def test_a_run_that_passes_is_extended_to_the_next_gate(gates):
    code, out, record = gates()
    assert (code, record["outcome"], record["gates"]) == (0, "passed", [40, 60])
    assert outcomes(record) == [(40, 40, "passed"), (60, 60, "passed")]
    assert "resumed at step 40" in out
    assert out.splitlines()[-1].startswith(f"gates={gates.path} passed=40,60 failed=none verdict=")
    assert json.loads((gates.path / "summary.json").read_text())["env_steps"] == 60
    assert "not known yet, and not held against it: d5, d6" in out
    assert "gate 60: passed" in (gates.path / "console.log").read_text()
    code, out, _ = gates("hyperparams.gamma=.9")  # other settings are refused even where every gate was judged
    assert (code, len(out.splitlines())) == (2, 1)
    assert "hyperparams.gamma" in out
    assert "--dir" in out


def test_learning_rates_fall_towards_the_last_gate_not_towards_each(gates):
    code, out, _ = gates("hyperparams.lr_final=.5", at="40,60")
    assert code == 0, out
    rows = [json.loads(line) for line in (gates.path / "metrics.jsonl").read_text().splitlines()]
    rates = {row["updates"]: row["lr/critic/head"] for row in rows if "lr/critic/head" in row}
    assert rates[40] == 1e-3  # of 80 in all; at the first gate, half way
    assert rates[80] == pytest.approx(1e-3 * (1.0 - 0.5 * (2 * 79 / 80 - 1)))
    newest = sorted((gates.path / "checkpoints").glob("step-*.pt"))[-1]
    assert read_checkpoint(newest)["horizon"] == 60


def test_a_run_that_others_extend_keeps_the_horizon_it_was_begun_with(gates, settings):
    words = [*TOY, "hyperparams.lr_final=.5"]
    run_module.run(settings(*words, "steps=40"), gates.path)
    run_module.run(settings(*words, "steps=60"), gates.path)
    newest = sorted((gates.path / "checkpoints").glob("step-*.pt"))[-1]
    assert read_checkpoint(newest)["horizon"] == 40


@pytest.mark.slow
def test_a_gate_that_was_passed_stands_though_its_checkpoints_were_deleted(gates):
    assert gates(at="40")[0] == 0
    for file in (gates.path / "checkpoints").iterdir():
        file.unlink()
    code, out, _ = gates(at="40")
    assert (code, "passed=40 failed=none" in out) == (0, True)
    code, out, _ = gates(at="40,60")
    assert code == 2
    assert "steps=60: " in out
    assert "finished at step 40, and the checkpoints to go on from are gone" in out


@pytest.mark.slow
def test_a_gate_that_fails_stops_the_next_and_stays_failed(gates):
    code, out, record = gates("wiring=crossed", "monitor=warn")
    assert (code, record["outcome"]) == (3, "failed")
    assert outcomes(record) == [(40, 40, "failed")]
    rules = {rule["rule"]: rule for rule in record["judged"][0]["rules"]}
    assert (rules["d0"]["outcome"], rules["d0"]["measured"], rules["d0"]["limit"]) == ("FAIL", 1.0, 0.0)
    assert "H6" in rules["d0"]["note"]
    assert "stopped at gate 40; no step was taken towards 60" in out
    assert f"gates={gates.path} passed=none failed=40 verdict=faulty_wiring" == out.splitlines()[-1]
    again, out, _ = gates("wiring=crossed", "monitor=warn")
    assert (again, "(judged before)" in out, "resumed" in out) == (3, True, False)


def test_a_run_that_the_monitor_ends_early_fails_its_gate(gates):
    code, out, record = gates("hyperparams.gamma=0", "hyperparams.critic_lr=1", "hyperparams.actor_lr=0")
    step = record["judged"][0]["step"]
    assert (code, step < 40) == (3, True)
    assert "gate 40: FAILED: steps, " in out


@pytest.mark.slow
def test_what_must_be_known_and_is_not_stops(gates):
    code, out, record = gates("log_every=4")  # ten rows at step 40, of the twelve that a growth fit needs
    assert (code, outcomes(record)) == (3, [(40, 40, "failed")])
    assert "gate 40: FAILED: d3 must be known and is not" in out
    assert "give a later gate (--gates 80 in the same --dir)" in out
    code, out, record = gates("log_every=4", at="60")
    assert (code, outcomes(record)) == (0, [(40, 40, "failed"), (60, 60, "passed")])
    assert "resumed at step 40" in out


@pytest.mark.slow
def test_after_a_signal_the_same_command_goes_on_and_reads_the_gate_it_had_passed(gates, monkeypatch):
    class Killing(DotEnv):
        def step(self, action):
            if self.total_steps == 10 and (gates.path / "gates.json").exists():  # on the way to the second gate
                os.kill(os.getpid(), signal.SIGTERM)
            return super().step(action)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "build_env", lambda *_: Killing())
        code, out, record = gates()
    assert (code, record["outcome"], outcomes(record)) == (143, "open", [(40, 40, "passed")])
    assert "the same command goes on" in out
    code, out, record = gates()
    assert (code, record["outcome"]) == (0, "passed")
    assert "gate 40: passed" in out
    assert out.count("(judged before)") == 1
    assert "resumed at step 40" not in out  # but later
    code, out, _ = gates()
    assert (code, out.count("(judged before)"), "resumed" in out) == (0, 2, False)


def test_a_simulator_that_fails_is_exit_code_1(gates, monkeypatch):
    def dead(*_):
        raise SimulatorError("no server")

    monkeypatch.setattr(run_module, "build_env", dead)
    assert gates()[:2][0] == 1


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "stop"),
        (["monitor.stop_on=[d2,d3]"], "stop"),
        (["monitor=warn"], "warn"),
        (["monitor.name=warn"], "warn"),
    ],
)
def test_the_monitor_stops_unless_another_is_chosen(words, name):
    assert _settings(["warmup=600", *words], [5000]).monitor.name == name


@pytest.mark.parametrize(
    ("words", "at", "parts"),
    [
        ([], "5000,100", ["--gates", "100 in 5000,100 does not exceed 5000", "ascending"]),
        ([], "5000,5000", ["5000 does not exceed", "such as"][1:]),
        ([], "5000,many", ["--gates", "'many' in 5000,many", "give numbers"]),
        ([], "0", ["--gates", "'0'", "give numbers"]),
        ([], "20,40", ["--gates 20", "warmup=20", "raise the first gate"]),
        (["steps=80"], "40", ["steps=80", "give --gates"]),
        (["resume=last"], "40", ["resume=last", "drop it"]),
        (["hydra.run.dir=there"], "40", ["hydra.run.dir=there", "give --dir"]),
        (["monitor=off"], "40", ["monitor=off", "choose monitor=stop"]),
        (["space=full"], "40", ["space=full", "drop it"]),
        (["hyperparams.gama=.9"], "40", ["did you mean hyperparams.gamma?"]),
        (["experiment=phase9"], "40", ["experiment=phase9", "phase1, phase2, phase3"]),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(gates, words, at, parts):
    code, out, record = gates(*words, at=at)
    assert (code, record, len(out.splitlines())) == (2, {}, 1)
    assert [part for part in parts if part not in out] == []


@pytest.mark.slow
def test_the_described_fault_fails_its_first_gate_on_the_stand_in(tmp_path):
    words = [word for word in QUICK if not word.startswith("steps=")]
    done = subprocess.run(
        [sys.executable, "-m", "td3sweep.gates", *words, "wiring=crossed", "--gates", "120,240", "--dir", tmp_path],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"gates={tmp_path} passed=none failed=120 verdict=")
    assert "d0 FAIL: since step 0: H6" in done.stdout
