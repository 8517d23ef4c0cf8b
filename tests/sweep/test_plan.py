"""What a sweep would cost: extreme points are found, and their measured costs add up as by hand."""

import io
import subprocess

import pytest
from command import QUICK, command
from rich.console import Console
from sweeps import make_spec

from td3sweep.config.compose import compose_settings
from td3sweep.errors import UserError
from td3sweep.sweep import plan as module
from td3sweep.sweep.plan import Probe, cost, kinds_of, plan
from td3sweep.sweep.space import parse_space

SPACE, _ = parse_space({}, ["cnn=nature,pooled", "hyperparams.batch_size=16,32,64", "hyperparams.tau=interval(0,1)"])
NUMBERS = {
    "steps": 1000, "warmup": 200, "critic_only_updates": 50, "updates_per_step": 0.5,
    "eval_every": 250, "eval_episodes": 2,
}  # fmt: skip


def make_probe(update_s):
    return Probe(start_s=5.0, step_s=0.01, update_s=update_s, episode=20.0, memory=1e9, checkpoint=1e6, per_step=100.0)


def spec_of(**search):
    spec = make_spec(**search)
    spec.fixed.update(NUMBERS)
    spec.seeds.append(1)  # two seeds
    return spec


def test_extremes_are_every_architecture_with_the_smallest_and_the_largest_batch():
    kinds = kinds_of(SPACE)
    assert list(kinds) == [("nature", 16), ("nature", 64), ("pooled", 16), ("pooled", 64)]
    assert kinds["pooled", 64]["hyperparams.batch_size"] == 64
    assert list(kinds_of(parse_space({}, ["hyperparams.tau=interval(0,1)"])[0])) == [(None,)]


def test_a_trial_costs_its_start_its_steps_and_its_updates_by_batch():
    probes = {("nature", 16): make_probe(0.1), ("nature", 64): make_probe(0.4)}
    point = {"cnn": "nature", "hyperparams.batch_size": 32, "hyperparams.tau": 0.5}
    seconds, size, steps = cost(spec_of(), SPACE, point, probes)
    # 50 + 800 x .5 = 450 updates at .1 + .3 x (32 - 16) / (64 - 16) = .2 s; 1,000 steps and 4 x 2 x 20 evaluated ones
    assert seconds == pytest.approx(2 * (5.0 + 1160 * 0.01 + 450 * 0.2))
    assert size == 2 * (3 * 1e6 + 1000 * 100)  # two checkpoints and best.pt
    assert steps == 1000


def test_the_warm_up_is_not_evaluated_and_the_end_always_is():
    space, _ = parse_space({}, ["warmup=200,500,760"])
    costs = {
        warmup: cost(spec_of(), space, {"warmup": warmup}, {(None,): make_probe(0.0)})[0] for warmup in (200, 500, 760)
    }
    # at 250, 500, 750 and 1000; at 750 and 1000; at 1000
    assert [round((costs[warmup] / 2 - 15.0) / (2 * 20.0 * 0.01)) for warmup in costs] == [4, 2, 1]
    spec = spec_of()
    spec.fixed["steps"] = 1100  # and at 1100
    assert cost(spec, space, {"warmup": 500}, {(None,): make_probe(0.0)})[0] == pytest.approx(2 * (16.0 + 3 * 2 * 0.2))


def test_a_number_between_the_measured_ends_costs_what_the_nearer_one_does():
    space, _ = parse_space({}, ["recurrent.hidden=range(16,128,16)"])
    probes = {kind: make_probe(0.1 * (1 + index)) for index, kind in enumerate(kinds_of(space))}
    assert list(probes) == [(16, None), (128, None)]
    costs = [cost(spec_of(), space, {"recurrent.hidden": size}, probes)[0] for size in (16, 64, 80, 128)]
    assert costs == [costs[0], costs[0], costs[3], costs[3]]
    assert costs[3] - costs[0] == pytest.approx(2 * 450 * 0.1)


def test_steps_and_updates_that_are_swept_are_priced_at_each_point(monkeypatch):
    space, _ = parse_space({}, ["steps=1000,3000", "updates_per_step=0.5,1"])
    probes = {(None,): make_probe(0.1)}
    seconds, _, steps = cost(spec_of(), space, {"steps": 3000, "updates_per_step": 1}, probes)
    # 50 + 2800 updates; 3,000 steps and 12 x 2 x 20 evaluated ones
    assert seconds == pytest.approx(2 * (5.0 + 3480 * 0.01 + 2850 * 0.1))
    assert steps == 3000
    spec, out = spec_of(), io.StringIO()
    for key in ("steps", "updates_per_step"):
        del spec.fixed[key]
    monkeypatch.setattr(module, "probe", lambda *_: make_probe(0.1))
    plan(spec, space, 4, Console(file=out, width=100))
    assert "4 trials x 2 seeds = 8 runs, 16,000 environment steps" in out.getvalue()


def test_the_table_has_a_row_for_every_engine_and_width(monkeypatch):
    probed = []

    def probe(spec, overrides, width):
        probed.append((tuple(overrides), width))
        return make_probe(0.1)

    monkeypatch.setattr(module, "probe", probe)
    out = io.StringIO()
    plan(spec_of(width=2), SPACE, 6, Console(file=out, width=100))
    text = out.getvalue()
    assert len(probed) == 4
    assert {width for _, width in probed} == {2}
    assert "6 trials x 2 seeds = 12 runs, 12,000 environment steps" in text
    # a trial is 2 x (5 + 11.6 + 45) = 123.2 s; six of them two at a time 369.6 s
    assert "a trial takes 2:03" in text
    assert [line.split()[1:4:2] for line in text.splitlines() if line.startswith("│ local")] == [["local", "2"]]
    assert "6:10" in text
    assert text.count("slurm, ray │") == 3


def test_a_sweep_without_an_end_has_no_price():
    with pytest.raises(UserError, match=r"give sweep.trials=N"):
        plan(spec_of(), SPACE, module.sys.maxsize, Console(file=io.StringIO()))


def test_probes_side_by_side_have_ports_of_their_own_and_the_sweeps_experiment(monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(module, "_read", lambda *_: make_probe(0.1))
    spec = spec_of(width=2)
    spec.base.extend(["experiment=ablation", "env.port=3000", "tracking.project=mine", "monitor.stop_on=[d2]"])
    module.probe(spec, ["cnn=pooled"], 2)
    ports = [[word for word in command if word.startswith("env.port=")][-1] for command in commands]
    assert sorted(ports) == ["env.port=3000", "env.port=3004"]
    assert [commands[0].count(word) for word in ("experiment=ablation", "cnn=pooled", "monitor=warn")] == [1, 1, 1]
    assert not {"tracking.project=mine", "monitor.stop_on=[d2]"} & set(commands[0])


@pytest.mark.parametrize(
    ("overrides", "least"),
    [
        ([], 100 + 3),
        (["recurrent=gru48"], 16 + 2 + 5 + 3),
        (["recurrent=gru48", "hyperparams.batch_size=64"], 64 + 2 + 5 + 3),
        (["experiment=described_5k", "recurrent=lstm256", "hyperparams.batch_size=4"], 4 + 5 + 10 + 1),
        (["demonstrations=none"], 100 + 3),
    ],
)
def test_a_probe_is_a_run_that_learns(monkeypatch, overrides, least):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(module, "_read", lambda *_: make_probe(0.1))
    module.probe(spec_of(), overrides, 1)
    asked = compose_settings([word for word in commands[0][3:] if not word.startswith("hydra.")])
    assert asked.warmup >= least
    assert (asked.steps - asked.warmup) * asked.updates_per_step == pytest.approx(module.PROBE_UPDATES)
    if asked.demonstrations.name != "none":
        assert asked.demonstrations.random_steps == 0


@pytest.mark.slow
def test_a_sweep_whose_experiment_brings_its_space_is_measured_too(tmp_path):
    one = ["wiring=choice(separate)", "cnn=choice(pooled)", "recurrent=choice(none)", "hyperparams.batch_size=8"]
    code, out, err = command("--multirun", "experiment=ablation", *QUICK, *one, "sweep.plan=true", "sweep.width=2")
    assert code == 0, out + err
    assert "measuring 1 extreme configurations, 2 at a time" in out


@pytest.mark.slow
def test_the_command_measures_and_runs_nothing(tmp_path):
    arguments = ["--multirun", *QUICK, "hyperparams.batch_size=choice(8,16)", f"hydra.sweep.dir={tmp_path}/sweep"]
    code, out, err = command(*arguments, "sweep.plan=true")
    assert code == 0, err
    assert "measuring 2 extreme configurations" in out
    assert "2 trials x 1 seeds = 2 runs, 240 environment steps" in out
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_a_probe_that_cannot_run_is_one_line(tmp_path):
    arguments = ["--multirun", *QUICK, "env.flags=[-fault-die-at-start]", "hyperparams.batch_size=choice(8,16)"]
    code, _, err = command(*arguments, "sweep.plan=true", f"hydra.sweep.dir={tmp_path}/sweep")
    assert code == 2
    assert "sweep.plan=true: the probe hyperparams.batch_size=8 failed:" in err
