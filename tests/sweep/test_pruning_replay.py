"""Searches replayed on a small hand-made table spend what they should, and as the product would."""

import json
import math
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from benchmarks.pruning.compare import _without_infinity, alarms, compare, median, outcome, ranks, targets
from benchmarks.pruning.record import TASK
from benchmarks.pruning.replay import WORDS, Method, follow, load, replay, to_unit
from td3sweep.config.settings import SweepSettings
from td3sweep.sweep.search import build_pruner
from td3sweep.sweep.space import parse_space
from td3sweep.sweep.spec import Spec
from td3sweep.sweep.trial import Work, order, train

STEPS = (134, 435, 642, 906, 1100)  # of the evaluations: the first is of a policy that has not learnt
GOOD, BAD = (0.0, 10.0, 40.0, 100.0, 70.0), (0.0, 4.0, 2.0, 3.0, 1.0)
POINT = {
    "hyperparams.gamma": 0.99,
    "hyperparams.tau": 0.01,
    "hyperparams.actor_lr": 1e-3,
    "hyperparams.critic_lr": 1e-3,
    "hyperparams.batch_size": 16,
}


@pytest.fixture
def record(tmp_path):
    """A function that writes a recording, {(configuration, seed): returns} and {...: step of a FAIL}, and loads it."""

    def write(curves, failures=()):
        rows = [
            {
                "configuration": configuration,
                "seed": seed,
                "point": POINT | {"hyperparams.tau": 0.002 * (1 + configuration)},
                "exit": 0,
                "alarms": [["d5", "WARN", 450]]
                + [["d2", "FAIL", step] for step in dict(failures).get((configuration, seed), ())],
                "evaluations": list(zip(STEPS, returns, strict=True)),
            }
            for (configuration, seed), returns in curves.items()
        ]
        path = tmp_path / "curves.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load(path)

    return write


def search(pruner="none", seeds=1, **options):
    """A study as a sweep of this pruner would make it."""
    settings = SweepSettings(pruner=pruner, pruner_options=options)
    return optuna.create_study(
        direction="maximize", pruner=build_pruner(settings, warmup=400, every=100, steps=1100 * seeds)
    )


def test_a_trial_tells_what_the_sweep_would_on_its_grid(record):
    (courses,) = record({(0, 0): GOOD}).courses
    (course,) = courses.values()
    assert course.judged == (
        (134, ()),
        (435, ((400, 10.0),)),
        (642, ((500, 10.0), (600, 25.0))),
        (906, ((700, 25.0), (800, 25.0), (900, 50.0))),
    )
    assert (course.steps, course.score, course.alarm) == (1100, 70.0, None)


def test_the_second_seed_goes_on_from_the_first(record):
    (courses,) = record({(0, 0): GOOD, (0, 1): BAD}, {(0, 1): [900, 700]}).courses
    assert set(courses) == {(0, 1), (1, 0)}
    first = courses[0, 1]
    assert first.judged[4:6] == (
        (1100 + 134, ()),
        (1100 + 435, ((1200, 70.0), (1300, 70.0), (1400, 70.0), (1500, 37.0))),
    )
    assert (first.steps, first.score, first.alarm) == (2200, 36.0, 1800)
    assert courses[1, 0].alarm == 700


def test_a_second_seed_counts_once_all_configurations_have_it(record):
    table = record({(0, 0): GOOD, (1, 0): BAD, (0, 1): BAD})
    assert table.seeds == 1
    assert table.scores.tolist() == [70.0, 2.0]


def test_a_failed_monitor_ends_a_trial_where_it_fails(record):
    table = record({(0, 0): GOOD, (1, 0): BAD, (2, 0): GOOD}, {(1, 0): [700]})
    plain, stopped = replay(table, Method("random"), 0), replay(table, Method("random", divergence=True), 0)
    assert plain.spent.tolist() == [1100, 2200, 3300]
    assert stopped.spent[-1] == 1100 + 700 + 1100
    assert stopped.tried == plain.tried
    assert sorted(stopped.tried) == [0, 1, 2]
    assert stopped.complete[stopped.tried.index(1)] == np.False_
    assert math.isinf(stopped.steps_until([1]))
    assert stopped.steps_until([0, 1, 2]) == stopped.spent[int(stopped.tried[0] == 1)]


def test_an_alarm_comes_before_the_evaluation_at_its_step(record):
    (courses,) = record({(0, 0): GOOD}, {(0, 0): [642]}).courses
    study = search()
    trial = study.ask()
    assert follow(courses[(0,)], trial, Method("random", divergence=True)) == (642, None)
    assert study.trials[0].intermediate_values == {400: 10.0}


def test_a_median_pruned_trial_ends_at_its_first_evaluation_below_the_median(record):
    table = record({(0, 0): GOOD, (1, 0): BAD})
    method = Method("random", pruner="median", options=(("n_startup_trials", 1),))
    found = {tuple(one.tried): one.spent.tolist() for one in (replay(table, method, seed) for seed in range(8))}
    # The first trial is never pruned. BAD's 4 at step 400 is below GOOD's 10, and step 435 is where that is known.
    assert found == {(0, 1): [1100, 1100 + 435], (1, 0): [1100, 2200]}


def test_tpe_learns_from_pruned_trials(record, monkeypatch):
    seen = []
    table = record({(place, 0): BAD if place % 2 else GOOD for place in range(14)})

    def watch(self, study, trial, space, infer=optuna.samplers.TPESampler.sample_relative):
        seen.extend(one for one in study.get_trials() if one.state == optuna.trial.TrialState.PRUNED)
        return infer(self, study, trial, space)

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_relative", watch)
    replay(table, Method("tpe", pruner="median", options=(("n_startup_trials", 1),)), 0)
    assert seen
    assert all(trial.intermediate_values == {400: 4.0} for trial in seen)
    taus = {params["hyperparams.tau"] for params in table.params}
    assert all(trial.params["hyperparams.tau"] in taus for trial in seen)


def test_distances_are_of_logarithms():
    space, _ = parse_space(WORDS, [])
    point = {
        "1-hyperparams.gamma": 1e-3,
        "hyperparams.tau": 8e-2,
        "hyperparams.actor_lr": 1e-4,
        "hyperparams.critic_lr": 1e-5,
        "hyperparams.batch_size": 32,
    }
    assert to_unit(space.distributions, point) == pytest.approx([1 / 3, 1.0, 1 / 3, 0.0, 1.0])


@pytest.mark.parametrize("divergence", [False, True])
@pytest.mark.parametrize("curves", [(GOOD, BAD), (BAD, GOOD), (GOOD, GOOD)])
def test_a_replayed_trial_is_the_product_s_own(record, monkeypatch, tmp_path, curves, divergence):
    """The product's own `train`, its runs played from the recording, reports and ends as the replay does."""
    middling = (5.0,) * len(STEPS)
    failures = {(1, 1): [700]} if curves == (GOOD, GOOD) else {}
    table = record({(0, 0): middling, (0, 1): middling, (1, 0): curves[0], (1, 1): curves[1]}, failures)
    runs, seeds = table.runs[1], tuple(order([0, 1], 1))  # the order of logical trial 1
    played = []

    def play(settings, path, callbacks):
        run, end = runs[settings.seed], settings.steps
        path.mkdir(parents=True)
        for step, value in run.evaluations:
            stopped = divergence and run.alarm is not None and step >= run.alarm
            if stopped:
                end = run.alarm
                break
            row = {"phase": "evaluation", "updates": int(step >= 400), "eval/return": value}
            with (path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            if step < settings.steps and step >= 400 and callbacks[0].hears(step, value):
                end = step
                break
        played.append(end)
        summary = {"verdict": "healthy", "first_alarm_step": None, "env_steps": end}
        return SimpleNamespace(interrupted=False, summary=summary, exit_code=3 if stopped else 0)

    monkeypatch.setattr("td3sweep.training.run.run", play)
    theirs, mine = (search("median", seeds=2, n_startup_trials=1) for _ in range(2))
    for study in (theirs, mine):
        follow(table.courses[0][0, 1], trial := study.ask(), Method("random"))
        study.tell(trial, 5.0)
    trial = theirs.ask()

    def report(step, value):
        trial.report(value, step)
        return trial.should_prune()

    spec = Spec("s", "", {}, TASK, [0, 1], {}, SweepSettings(pruner="median", seeds=2))
    ending = train(Work(spec, tmp_path, 1, [], 0, report, lambda _: None))
    spent, score = follow(table.courses[1][seeds], mine.ask(), Method("random", divergence=divergence))
    assert mine.trials[1].intermediate_values == theirs.trials[1].intermediate_values
    assert spent == sum(played)
    assert score == (None if ending.values is None else ending.values[0])


def test_ranks_alarms_and_targets_by_hand(record, monkeypatch):
    monkeypatch.setattr("benchmarks.pruning.compare.RESAMPLES", 50)
    curves = {(i, 0): (0.0, float(i), float(i), -10.0 * i, -20.0 * i) for i in range(6)}
    table = record(curves, {(0, 0): [700], (5, 0): [700]})
    # Window means rise with i up to step 900 and fall after it: the ends are (i - 30 i) / 3.
    assert table.scores == pytest.approx([-29.0 * i / 3.0 for i in range(6)])
    assert [round(row["rho"], 6) for row in ranks(table)] == [-1.0, -1.0, -1.0]
    found = alarms(table)
    assert (found["failed"], found["runs"], found["top_failed"], found["top_runs"]) == (2, 6, 1, 2)
    assert targets(table) == {"best": [0], "5 %": [0], "top 3": [0, 1, 2]}


def test_ratios_are_paired(record, monkeypatch):
    monkeypatch.setattr("benchmarks.pruning.compare.RESAMPLES", 50)
    found = [replay(record({(0, 0): GOOD}), Method("random"), seed) for seed in range(3)]
    steps, random, tpe = ({"best": np.array(steps)} for steps in ([1.0, 9.0, 8.0], [1.0, 3.0, 4.0], [2.0, 1.0, 1.0]))
    one = outcome(found, steps, random, tpe)["targets"]["best"]
    assert [one["steps"]["median"], one["to_random"]["median"], one["to_tpe"]["median"]] == [8.0, 2.0, 8.0]
    assert one["mean_to_random"]["ratio"] == 18.0 / 8.0


def test_what_is_never_found_is_infinite(record, monkeypatch):
    monkeypatch.setattr("benchmarks.pruning.compare.RESAMPLES", 50)
    table = record({(0, 0): GOOD, (1, 0): BAD, (2, 0): BAD}, {(0, 0): [700]})
    found = compare(table, 3)
    assert found["random"]["targets"]["best"]["to_random"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    lost = found["tpe + divergence"]["targets"]["best"]
    assert (lost["lost"], lost["to_random"]["median"]) == (3, math.inf)
    assert found["tpe + divergence"]["whole_table"] == 700 + 2 * 1100
    assert json.dumps(_without_infinity(lost["to_random"])) == '{"median": null, "low": null, "high": null}'
    assert median(np.array([1.0, 2.0, 30.0]))["median"] == 2.0
