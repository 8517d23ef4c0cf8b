"""Several actors and one learner: the ratio is kept, staleness is bounded, episodes never mix, faults stay alone."""

import json
import math
import time
from functools import partial

import numpy as np
import pytest
import torch
from pool_runs import Absent, MarkedEnv, Steps, make_away, marked, marks
from toy_trainer import rows, same, weights

from td3sweep.collect.collector import FAULTS_IN_A_ROW
from td3sweep.collect.schedule import Acting, stalest
from td3sweep.errors import SimulatorError
from td3sweep.record.definitions import is_defined


def first_ahead(**first):
    """Three actors, the first by far the quickest: so it has steps before its faults, and after."""
    return [partial(MarkedEnv, 1, **first), partial(MarkedEnv, 2, slow=0.01), partial(MarkedEnv, 3, slow=0.01)]


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    """A simulator that failed is tried again at once."""
    monkeypatch.setattr("td3sweep.collect.actor_pool.PAUSES_S", (0.0,) * (FAULTS_IN_A_ROW - 1))


def test_steps_updates_and_random_actions_are_as_many_as_asked_for(tmp_path):
    envs = []
    built = [lambda: envs.append(MarkedEnv(1)) or envs[-1]] * 3
    trainer = make_away(tmp_path, built, steps=61, warmup=16, updates_per_step=0.5)
    told = Steps(trainer)
    trainer.run()
    seen = [step.transition.chosen.acting is Acting.RANDOM for step in told.steps]
    assert (trainer.step, len(seen), trainer.held) == (61, 61, 61)
    assert trainer.agent.updates == math.floor((61 - 16) * 0.5)
    # A permit for a random step is void where it crosses an episode's end, and is given again before any other kind.
    assert seen == [True] * 16 + [False] * 45
    assert all(shard.size > 0 for shard in trainer.replay.shards)
    evaluated = trainer.evaluation["eval/length"] * trainer.schedule.eval_episodes
    assert sum(env.total_steps for env in envs) == 61 + evaluated  # no step is taken in vain


def test_rows_are_complete_and_defined(tmp_path):
    trainer = make_away(tmp_path, marked(2), learns=True, steps=60, eval_every=20, updates_per_step=0.5)
    trainer.run()
    logged = rows(tmp_path)
    names = {name for row in logged for name in row} - {"env_step", "updates", "phase", "not_finite"}
    assert [name for name in names if not is_defined(name)] == []
    assert {"actors/staleness", "actors/staleness_max", "q/bias", "env/faults", "episode/return"} <= names
    learning = [row for row in logged if "loss/critic" in row]
    assert [row["updates"] for row in learning] == [5 * n for n in range(1, 5)]
    evaluated = [row["env_step"] for row in logged if "eval/return" in row]
    assert len(evaluated) == 3
    assert 20 <= evaluated[0] < 40 <= evaluated[1] < 60 == evaluated[2]
    assert (tmp_path / "film.png").stat().st_size > 1000
    told = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert len({row["seed"] for row in told}) == len(told) == trainer.episodes
    for row in told:
        assert row["return"] == pytest.approx(row["terms"]["centre"], abs=1e-5)


@pytest.mark.parametrize("slow", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_no_action_is_older_than_the_bound_when_it_is_stored(tmp_path, slow):
    """Also where one simulator is far slower than the learner and the others: then they wait for it."""
    trainer = make_away(tmp_path, marked(3, slow=slow), steps=45, warmup=16)
    told = Steps(trainer, lambda step: trainer.agent.updates - step.transition.updates)
    trainer.run()
    assert 0 < max(told.noted) <= stalest(3, 1.0) == 12


def test_the_bound_in_updates():
    assert [stalest(1, 0.25), stalest(2, 0.25), stalest(4, 0.25), stalest(4, 1.0)] == [1, 2, 4, 16]


def test_no_stack_and_no_transition_mixes_actors_or_episodes(tmp_path):
    trainer = make_away(tmp_path, first_ahead(fail_at=[7, 15]), steps=90, warmup=80, updates_per_step=0.0)
    trainer.run()
    found = np.concatenate([marks(trainer.replay.sample(64)) for _ in range(10)])
    assert {1, 2, 3} == set(found[..., 0].ravel())
    assert (found[..., :2] == found[:, :1, :1, :2]).all()  # one actor, one episode
    transitions = found[..., 2]
    assert (transitions[:, 1, -1] == transitions[:, 0, -1] + 1).all()
    assert (transitions[:, :, :-1] == np.maximum(transitions[:, :, 1:] - 1, 0)).all()


def test_the_memory_of_an_actor_is_what_the_learners_agent_would_have(tmp_path):
    trainer = make_away(tmp_path, marked(2), steps=40, warmup=30, updates_per_step=0.0, memory="lstm")
    checked, store = [], trainer.collector._store
    agent = trainer.agent

    def check(shard, episode, transition, since):
        _, state = agent.act(episode.observation, episode.state)
        checked.append(np.abs(state - transition.chosen.state).max())
        return store(shard, episode, transition, since)

    trainer.collector._store = check
    trainer.run()
    assert max(checked) < 1e-6
    assert trainer.replay.sample(8).states.shape[1] == sum(agent.state_sizes)


def test_actors_act_with_the_parameters_they_say(tmp_path):
    """An action without noise is that of the learner's policy after as many updates as the step tells."""
    trainer = make_away(tmp_path, marked(2), learns=True, steps=40, exploration_noise=(0.0, 0.0))
    versions, wrong = {}, []
    update, store = trainer.agent.update, trainer.collector._store

    def remember(*arguments, **named):
        metrics = update(*arguments, **named)
        versions[trainer.agent.updates] = [tensor.clone() for tensor in trainer.agent.policy.tensors()]
        return metrics

    def check(shard, episode, transition, since):
        if transition.updates in versions and transition.chosen.acting is Acting.POLICY:
            present = [tensor.clone() for tensor in trainer.agent.policy.tensors()]
            _load(trainer.agent.policy, versions[transition.updates])
            action, _ = trainer.agent.act(episode.observation, episode.state)
            _load(trainer.agent.policy, present)
            wrong.append(np.abs(action - transition.chosen.action).max())
        return store(shard, episode, transition, since)

    trainer.agent.update, trainer.collector._store = remember, check
    trainer.run()
    assert len(wrong) > 10
    assert max(wrong) < 1e-5


@torch.no_grad()
def _load(policy, tensors):
    for mine, value in zip(policy.tensors(), tensors, strict=True):
        mine.copy_(value)


def test_a_fault_of_one_simulator_costs_its_open_episode_only(tmp_path, caplog):
    trainer = make_away(tmp_path, first_ahead(fail_at=[5]), steps=60)
    trainer.run()
    assert (trainer.step, trainer.faults) == (60, 1)
    lost = 60 - trainer.held
    assert 0 < lost < 5
    assert "actor 0: injected at step 5; the episode is discarded (fault 1, hang)" in caplog.text
    assert trainer.replay.shards[0].size > 0  # it came back


def test_a_simulator_that_rests_after_its_faults_stops_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.collect.actor_pool.PAUSES_S", (0.0, 1000.0))
    trainer = make_away(tmp_path, [Absent, *marked(2)], steps=60)
    trainer.run()
    assert (trainer.step, trainer.fault_kinds) == (60, {"other": 2})
    assert trainer.collector.pause_s == 0.0


def test_where_all_rest_the_loop_does(tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.collect.actor_pool.PAUSES_S", (1.0, 1.0, 1.0, 1.0))
    trainer = make_away(tmp_path, marked(1, fail_at=[5]), steps=20)
    pauses, survive = [], trainer._survive
    trainer._survive = lambda error: (pauses.append(trainer.collector.pause_s), survive(error))
    begun = time.monotonic()
    trainer.run()
    assert (trainer.step, trainer.faults) == (20, 1)
    assert 0.5 < pauses[0] <= 1.0
    assert time.monotonic() - begun > 1.0


def test_a_simulator_that_never_comes_back_is_given_up_and_the_others_finish(tmp_path, caplog):
    trainer = make_away(tmp_path, [Absent, *marked(2)], steps=60)
    trainer.run()
    assert (trainer.step, trainer.faults) == (60, FAULTS_IN_A_ROW)
    assert "actor 0 failed 5 times in a row: given up until a resume" in caplog.text
    assert trainer.held == 60
    assert "eval/return" in rows(tmp_path)[-1]


def test_where_all_simulators_stay_away_the_run_ends_saved_and_can_go_on(tmp_path):
    gone = [lambda: MarkedEnv(9, fail_at=range(15, 999))] * 2
    trainer = make_away(tmp_path, gone, steps=60)
    with pytest.raises(SimulatorError, match="injected"):
        trainer.run()
    assert 0 < trainer.step < 60
    healed = make_away(tmp_path, marked(2), steps=60)
    healed.run()
    assert (healed.step, healed.faults) == (60, trainer.faults)


def test_simulators_that_never_worked_end_the_run_at_once(tmp_path):
    trainer = make_away(tmp_path, [Absent, Absent])
    with pytest.raises(SimulatorError, match="nobody answers"):
        trainer.run()
    assert trainer.faults == 2


@pytest.mark.parametrize("count", [1, 2])
def test_an_actor_that_dies_is_started_again(tmp_path, caplog, count):
    trainer = make_away(tmp_path, marked(count), steps=60, die_at=9)
    trainer.run()
    assert (trainer.step, trainer.faults) == (60, 1)
    assert "actor 0: its process is gone: ended; the episode is discarded (fault 1, other)" in caplog.text
    assert trainer.collector._actors[0].remote.starts == 2


def test_a_resume_discards_open_episodes_and_goes_on_exactly_otherwise(tmp_path, caplog):
    options = {"learns": True, "steps": 60, "updates_per_step": 0.25}
    first = make_away(tmp_path, marked(2), stop_after=35, **options)
    first.run()
    opened = sum(actor.episode.length for actor in first.collector._actors if actor.episode)
    assert opened > 0
    second = make_away(tmp_path, marked(2), stop_after=0, **options)
    with caplog.at_level("INFO"):
        second.run()
    assert "open episodes are discarded; the learner goes on exactly" in caplog.text
    assert (second.step, second.agent.updates, second.episodes) == (first.step, first.agent.updates, first.episodes)
    assert same(weights(first), weights(second))
    assert len(second.replay) == len(first.replay) - opened
    third = make_away(tmp_path, marked(2), **options)
    third.run()
    assert (third.step, third.agent.updates) == (60, 11)
    told = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert len({row["seed"] for row in told}) == len(told)  # no episode is played twice


def test_an_evaluation_that_a_signal_breaks_off_ends_the_run(tmp_path):
    trainer = make_away(tmp_path, marked(2), steps=30, eval_episodes=1000)
    signalled, collect = [], trainer.collector.evaluate
    trainer.interrupted = lambda: bool(signalled)
    trainer.collector.evaluate = lambda *asked: (signalled.append(1), collect(*asked))[1]
    trainer.run()
    assert (trainer.step, trainer.evaluated_at) == (30, 0)
