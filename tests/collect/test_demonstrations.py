"""Demonstrations in the loop: their turn, what is stored of them, and a stop among them that changes nothing."""

import json

import numpy as np
import pytest
from pool_runs import Steps, make_away
from shown import Homing, Telling, homing, shows
from toy_trainer import make, rows, same, timeless, weights

from td3sweep.collect.schedule import Acting

SHOWN = {"random_steps": 7, "warmup": 25, "steps": 40, "critic_only_updates": 3, "lr_final": 0.1}


def held(replay):
    """Actions and what was meant by them of all transitions in a ring."""
    taken = (replay._flags & 1).astype(bool)
    return replay._arrays["actions"][taken], replay._arrays["meant"][taken]


def noted(trainer):
    """Every step's moment, with the observation before it."""
    found, store = [], trainer.collector._store

    def note(ring, episode, transition, since):
        found.append((episode.observation, transition))
        return store(ring, episode, transition, since)

    trainer.collector._store = note
    return found


def by_turns(transitions):
    return "".join(transition.chosen.acting.value[0] for _, transition in transitions)


def check_shown(transitions, rings):
    """What was meant is undisturbed and was stored with the action that was taken, and nothing was else."""
    wanted = {}
    for observation, transition in transitions:
        chosen = transition.chosen
        if chosen.acting is Acting.DEMONSTRATOR:
            assert np.array_equal(chosen.meant, homing(observation))
        else:
            assert chosen.meant is None
        wanted[chosen.action.tobytes()] = chosen.meant
    actions, meant = (np.concatenate(part) for part in zip(*map(held, rings), strict=True))
    for action, stored in zip(actions, meant, strict=True):
        expected = wanted[action.tobytes()]
        assert np.isnan(stored).all() if expected is None else np.array_equal(stored, expected)
    return len(actions), int(np.isfinite(meant).all(axis=1).sum())


class Steady(Homing):
    """What it means depends on what it sees alone."""

    def act(self, observation, info):
        return homing(observation)


def steady():
    demonstrator = shows(0.1, 0.3)
    demonstrator._driver = Steady()
    return demonstrator


def test_warmup_is_random_then_shown_and_then_the_policy_acts(tmp_path):
    trainer = make(tmp_path, demonstrator=steady(), agent_cloning=1.0, **SHOWN | {"cloning": (0.1, 10)})
    transitions = noted(trainer)
    trainer.run()
    assert by_turns(transitions) == "r" * 7 + "d" * 18 + "p" * 15
    assert check_shown(transitions, [trainer.replay]) == (40, 18)
    assert any(
        not np.array_equal(m.chosen.action, m.chosen.meant) for _, m in transitions if m.chosen.meant is not None
    )


def test_actors_show_as_many_steps_as_were_asked_for(tmp_path):
    envs = [Telling] * 3
    trainer = make_away(tmp_path, envs, show=steady, random_steps=10, warmup=40, steps=70, updates_per_step=0.5)
    transitions = noted(trainer)
    trainer.run()
    assert by_turns(transitions) == "r" * 10 + "d" * 30 + "p" * 30
    stored, shown = check_shown(transitions, trainer.replay.shards)
    assert trainer.held == 70
    assert stored >= 58  # the last evaluation breaks an episode off
    assert shown > 0
    assert trainer.agent.updates == 15


def test_actors_tell_what_is_not_to_be_learnt(tmp_path):
    check_unlearnt(make_away(tmp_path, [Telling] * 2, warmup=30, steps=30, reward_scale=0.5), tmp_path)


def test_the_learner_does_not_see_what_is_not_to_be_learnt_and_the_return_keeps_it(tmp_path):
    check_unlearnt(make(tmp_path, env=Telling(), warmup=30, steps=30, reward_scale=0.5, monitor=False), tmp_path)


def check_unlearnt(trainer, path):
    told = Steps(trainer)
    trainer.run()
    bonuses = [step.transition.info["unlearnt"] for step in told.steps]
    assert set(bonuses) == {0.0, 0.25}
    for step, bonus in zip(told.steps, bonuses, strict=True):
        assert step.reward == pytest.approx(0.5 * (step.transition.reward - bonus))
    rows = [json.loads(line) for line in (path / "episodes.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:  # the term is the reward without the bonus, which every third step has
        assert row["return"] == pytest.approx(row["terms"]["centre"] + 0.25 * (row["length"] // 3), abs=1e-5)
    rings = getattr(trainer.replay, "shards", [trainer.replay])
    kept = np.concatenate([ring._arrays["rewards"][(ring._flags & 1).astype(bool)] for ring in rings])
    seen = {np.float32(step.reward) for step in told.steps}
    assert set(kept) <= seen
    assert len(kept) > 10


@pytest.mark.parametrize("stop_after", [5, 10, 21, 31])  # the last in an episode that the policy goes on with
@pytest.mark.parametrize("memory", ["none", pytest.param("gru", marks=pytest.mark.slow)])
def test_a_run_stopped_among_demonstrations_ends_as_if_it_had_never_stopped(tmp_path, memory, stop_after):
    def session(folder, **more):
        return make(
            tmp_path / folder, env=Telling(), demonstrator=shows(0.1, 0.4), memory=memory, context=True,
            agent_cloning=1.0, **SHOWN | {"cloning": (0.1, 10)}, **more,
        )  # fmt: skip

    whole = session("a")
    whole.run()
    first = session("b", stop_after=stop_after)
    first.run()
    assert (first.step > 25) is (stop_after == 31)
    assert first.collector.episode.shown > 0 or first.step <= 7
    second = session("b")
    second.run()
    assert second.step == 40
    for ours, theirs in zip(held(whole.replay), held(second.replay), strict=True):
        assert np.array_equal(ours, theirs, equal_nan=True)
    assert same(weights(whole), weights(second))
    assert timeless(rows(tmp_path / "a")) == timeless(rows(tmp_path / "b"))
    assert rows(tmp_path / "a", "episodes.jsonl") == rows(tmp_path / "b", "episodes.jsonl")
    phases = [row["phase"] for row in rows(tmp_path / "a", "episodes.jsonl")]
    assert "demonstrations" in phases
