"""The best configuration: which it is, and that its command runs."""

import shlex

import numpy as np
import pytest
from made_up_runs import crossed, run, two

from td3sweep.config.compose import compose_settings
from td3sweep.config.saved import flatten
from td3sweep.report.best import best
from td3sweep.report.factors import factors
from td3sweep.report.findings import conclude
from td3sweep.report.frame import tidy
from td3sweep.report.runs import EVAL


def test_the_best_has_no_run_that_diverged_with_or_without_a_return():
    runs = two(range(8), range(8), lambda level, seed: level == "crossed" and seed < 5)
    for one in runs:
        one.series[EVAL] = (one.series[EVAL][0], np.full_like(one.series[EVAL][1], 5.0))
        if one.config["wiring.name"] == "crossed":
            key, value = ("q/q1", 1e9) if one.failed_at is not None else (EVAL, 100.0)
            one.series = {key: (np.array([1000.0]), np.array([value]))}
            one.state = "stopped by the monitor" if one.failed_at is not None else one.state
    findings = conclude(runs, ["sweep"])
    assert findings.best.score.value == 5.0
    assert "5 of 16 runs were ended before they had a return: no return counts them" in findings.warnings
    assert not any("stand for the rest" in line for line in findings.warnings)


def test_the_best_never_diverged_and_its_command_can_be_pasted():
    runs = crossed(lambda levels, seed: (levels["clip.name"] == "off", 100.0 * (levels["clip.name"] == "off") + seed))
    varied = factors(runs)
    chosen = best(runs, tidy(runs, varied), varied)
    assert "clip=joint" in chosen.command
    assert chosen.seeds == (0, 1, 2)
    assert chosen.score.value == 1.0
    assert chosen.fresh.endswith("seed=3,4,5,6,7,8,9,10,11,12")
    assert chosen.fresh.startswith("python -m td3sweep --multirun ")


def test_the_command_of_a_multirun_names_the_choice_that_was_run():
    runs = crossed(lambda levels, seed: (False, 10.0 * (levels["clip.name"] == "off") + seed))
    for one in runs:
        one.overrides = {"steps": "700"}  # wiring=separate,crossed and its like tell nothing
    varied = factors(runs)
    words = best(runs, tidy(runs, varied), varied).command.split()
    assert {"steps=700", "clip=off"} <= set(words)
    assert any(word.startswith("wiring=") for word in words)
    assert any(word.startswith("hyperparams.gamma=0.9") for word in words)


def composed(words, seed, ret, said=()):
    """A run with the settings that ``words`` make, whose command line told only ``said`` of them."""
    one = run({}, seed, ret=ret)
    one.config = flatten(compose_settings([*words, f"seed={seed}"]))
    one.overrides, one.provenance = dict(word.split("=", 1) for word in said), {"commit": "c"}
    return one


@pytest.mark.parametrize(
    ("chosen", "other", "said"),
    [
        (["recurrent=gru48"], ["recurrent=none"], []),
        (["recurrent=lstm256", "recurrent.hidden=128"], ["recurrent=none"], []),
        (["experiment=phase2"], ["experiment=phase2", "recurrent=none"], ["experiment=phase2"]),
        (["clip=off", "replay=per"], ["clip=joint", "replay=uniform"], []),
        (["hyperparams.gamma=0.95", "trunk=50", "aug=shift4"], ["loss=huber"], []),
    ],
)
def test_the_command_of_the_best_makes_its_settings(chosen, other, said):
    """Two groups of settings, of which a multirun's command line named several values, or none."""
    runs = [composed(words, seed, ret, said) for words, ret in ((chosen, 9.0), (other, 5.0)) for seed in range(2)]
    command = conclude(runs, ["sweep"]).best.command
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "td3sweep"]
    assert flatten(compose_settings(words[3:])) | {"seed": 0} == runs[0].config


def test_two_folders_are_two_configurations_and_no_word():
    runs = two(range(3), range(3), lambda level, seed: False, lambda level, seed: 10.0 * (level == "crossed") + seed)
    for one in runs:
        one.source, one.config["wiring.name"] = one.config["wiring.name"], "separate"
        one.overrides, one.provenance = {"wiring": "separate"}, {"commit": "c"}
    chosen = conclude(runs, ["separate", "crossed"]).best
    assert (len(chosen.runs), chosen.score.value) == (3, 11.0)
    assert chosen.command == "python -m td3sweep wiring=separate"


def test_two_sweeps_of_one_name_are_not_pooled():
    runs = two(range(3), range(3), lambda level, seed: False, lambda level, seed: 10.0 * (level == "crossed") + seed)
    for one in runs:
        one.trial = "drive #0"
    assert conclude(runs, ["a"]).best.score.value == 11.0
