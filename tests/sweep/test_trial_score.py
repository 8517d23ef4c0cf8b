"""What a trial is worth: final windows, never the best; seeds together; pruned and diverged trials have no score."""

import json
from dataclasses import replace

import pytest
from sweeps import make_spec
from toy_trainer import make as make_trainer

from td3sweep.sweep.trial import Ending, Judge, Work, final_window, order, settings_of, train, worst
from td3sweep.training.run import Outcome


def evaluations(path, *returns, untrained=()):
    path.mkdir(parents=True, exist_ok=True)
    rows = [{"phase": "evaluation", "updates": 0, "env_step": 1, "eval/return": value} for value in untrained]
    rows += [{"phase": "learning", "updates": 1, "env_step": 2, "loss/critic": 1.0}]
    rows += [{"phase": "evaluation", "updates": 9, "env_step": 9, "eval/return": value} for value in returns]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_work(tmp_path, seeds=(0,), hopeless=lambda step, value: False, **search):
    told, marks = [], {}
    work = Work(
        spec=replace(make_spec(**search), seeds=list(seeds)), directory=tmp_path / "4", first=4,
        overrides=["hyperparams.tau=0.01"], slot=0,
        report=lambda step, value: told.append((step, value)) or hopeless(step, value), mark=marks.update,
    )  # fmt: skip
    return work, told, marks


@pytest.fixture
def runs(monkeypatch):
    """Stands in for td3sweep.training.run.run: each seed's evaluations, verdict and exit code, as told."""
    script, seen = {}, []

    def run(settings, path, callbacks):
        seen.append((settings.seed, path, callbacks))
        returns, verdict, code = script[settings.seed]
        evaluations(path, *returns)
        summary = {"verdict": verdict, "first_alarm_step": None, "env_steps": 10}
        return Outcome(path, summary, code)

    monkeypatch.setattr("td3sweep.training.run.run", run)
    return script, seen


def test_the_score_is_the_mean_of_the_last_evaluations_of_a_trained_policy(tmp_path):
    evaluations(tmp_path, 100.0, 1.0, 2.0, 6.0, untrained=[50.0])
    assert final_window(tmp_path, 3) == 3.0
    assert final_window(tmp_path, 10) == 27.25  # fewer than ten: all but the untrained policy's
    evaluations(tmp_path, untrained=[50.0])
    assert final_window(tmp_path, 3) is None
    assert final_window(tmp_path / "nowhere", 3) is None


def test_a_return_that_was_not_finite_is_no_score(tmp_path):
    evaluations(tmp_path, 1.0, None, 2.0)
    assert final_window(tmp_path, 3) is None
    assert final_window(tmp_path, 1) == 2.0


def test_seeds_are_shuffled_by_trial_and_alike_on_a_retry():
    orders = {tuple(order(range(4), first)) for first in range(20)}
    assert len(orders) > 5
    assert order([3, 1, 2], 7) == order([3, 1, 2], 7)
    assert sorted(order([3, 1, 2], 7)) == [1, 2, 3]


def test_a_trial_is_the_mean_of_its_seeds(tmp_path, runs):
    script, seen = runs
    script |= {0: ([1.0, 3.0], "healthy", 0), 1: ([5.0, 7.0], "undetermined", 0)}
    work, _, marks = make_work(tmp_path, seeds=[0, 1], window=2)
    assert train(work) == Ending([4.0], verdict="undetermined")
    assert sorted(entry["return"] for entry in marks["runs"]) == [2.0, 6.0]
    assert {entry["directory"] for entry in marks["runs"]} == {"4/seed-0", "4/seed-1"}
    assert [path.parent.name for _, path, _ in seen] == ["4", "4"]


def test_divergence_ends_the_trial_without_a_score(tmp_path, runs):
    script, seen = runs
    script |= dict.fromkeys([0, 1], ([9.0], "diverging", 3))
    work, _, _ = make_work(tmp_path, seeds=[0, 1])
    ending = train(work)
    assert (ending.values, ending.verdict) == (None, "diverging")
    assert "stopped by the monitor with seed" in ending.reason
    assert len(seen) == 1  # the second seed is not tried


def test_stability_as_an_objective_counts_the_seeds_that_held(tmp_path, runs):
    script, seen = runs
    script |= {0: ([2.0], "diverging", 0), 1: ([4.0], "healthy", 0)}
    work, told, _ = make_work(tmp_path, seeds=[0, 1], objectives=["return", "stable"], window=1)
    assert train(work).values == [3.0, 0.5]
    assert told == []  # Optuna prunes by one objective only
    assert [callbacks for *_, callbacks in seen] == [(), ()]


def test_a_signal_leaves_the_trial_open(tmp_path, runs):
    script, _ = runs
    script[0] = ([2.0], "undetermined", 143)
    work, _, marks = make_work(tmp_path)
    assert train(work) == 143
    assert marks == {}


def test_wilcoxon_compares_seeds_and_drops_a_hopeless_point(tmp_path, runs):
    script, seen = runs
    script |= {seed: ([float(seed)], "healthy", 0) for seed in (0, 1, 2)}
    work, told, _ = make_work(
        tmp_path, seeds=[0, 1, 2], pruner="wilcoxon", hopeless=lambda *_: len(told) == 2, window=1
    )
    ending = train(work)
    assert (ending.values, ending.reason) == (None, "hopeless after 2 of 3 seeds")
    assert told == [(seed, float(seed)) for seed in order([0, 1, 2], 4)[:2]]
    assert len(seen) == 2


def test_a_judge_tells_on_a_common_grid_what_was_known_there(tmp_path, settings):
    s = replace(settings("demonstrations=none", "steps=1000", "warmup=100", "hyperparams.batch_size=8"), eval_every=100)
    work, told, _ = make_work(tmp_path, hopeless=lambda step, value: value > 8, window=2)
    judge = Judge(work, s, tmp_path, 0, [])
    assert not judge.hears(130, 4.0)
    assert not judge.hears(360, 8.0)  # the points 200 and 300 passed: at 200 the old value was known
    assert told == [(100, 4.0), (200, 4.0), (300, 6.0)]
    assert judge.hears(400, 10.0)
    assert told[-1] == (400, 9.0)


def test_a_later_seed_is_judged_with_the_finished_ones(tmp_path, settings):
    s = replace(settings("demonstrations=none", "steps=1000", "warmup=600"), eval_every=100)
    work, told, _ = make_work(tmp_path, window=1)
    Judge(work, s, tmp_path, position=1, scores=[6.0]).hears(100, 2.0)
    assert told == [(1100, 4.0)]


@pytest.mark.parametrize("position", [0, 1])
def test_a_judge_goes_on_where_an_earlier_sitting_of_the_run_was(tmp_path, settings, position):
    s = replace(settings("demonstrations=none", "steps=1000", "warmup=600"), eval_every=100)
    work, told, _ = make_work(tmp_path, window=2)
    scores, begun = [6.0] * position, 1000 * position
    known = [(50, None), (120, 2.0), (240, 4.0), (330, None)]  # a policy that had not learnt; one whose return was NaN
    rows = [
        {"phase": "evaluation", "updates": step - 50, "env_step": step, "eval/return": value} for step, value in known
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge(work, s, tmp_path, position, scores)
    judge.on_start(None)
    for step in (560, 610):
        judge.hears(step, 8.0)
    # At 330 the mean could not be told, nor at 560: the points since 200 are open, and at 240 the mean was 3.
    old, new = (3.0, 8.0) if not position else (4.5, 7.0)
    assert told == [(begun + step, old) for step in (300, 400, 500)] + [(begun + 600, new)]


def test_a_judge_forgets_what_a_killed_run_wrote_past_its_checkpoint(tmp_path, settings):
    s = replace(settings("demonstrations=none", "steps=1000", "warmup=600"), eval_every=10)
    work, told, _ = make_work(tmp_path, window=2)
    make_trainer(tmp_path, eval_every=10, warmup=11, save_every=20, stop_after=33).run()  # saved at its end as well
    lost = {"phase": "evaluation", "updates": 9, "env_step": 39, "eval/return": 1e9, "eval/episodes": 1}
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(lost) + '\n{"torn')
    trainer = make_trainer(tmp_path, eval_every=10, warmup=11)
    trainer.callbacks.append(Judge(work, s, tmp_path, 0, []))
    trainer.run()
    assert told
    assert all(value < 1e6 for _, value in told)


def test_the_gravest_verdict_is_the_trials():
    assert worst([{"verdict": "healthy"}, {"verdict": "undetermined"}]) == "undetermined"
    assert worst([{"verdict": "suspicious"}, {"verdict": "collapsed"}]) == "collapsed"


def test_every_run_has_its_slots_ports_and_its_trials_names(tmp_path):
    work, _, _ = make_work(tmp_path)
    work.spec.base.extend(["env.port=3000", "tracking.tags=[mine]"])
    work.slot = 2
    found = settings_of(work, seed=5)
    assert (found.seed, found.env.port, found.hyperparams.tau) == (5, 3008, 0.01)
    tracking = found.tracking
    assert (tracking.group, tracking.job_type, tracking.run) == ("toy", "sweep", "4-seed-5")
    assert tracking.tags == ["mine", "trial=4", "space=none"]
