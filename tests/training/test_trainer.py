"""The loop: what it stores, when it learns, and that a stop at any step changes nothing."""

import math

import numpy as np
import pytest
import torch
from toy_env import DotEnv
from toy_trainer import make, rows, same, timeless, weights

from td3sweep.errors import UserError
from td3sweep.record.definitions import is_defined
from td3sweep.replay import LAP, PER


def test_learning_starts_after_the_warmup_at_the_asked_ratio(tmp_path):
    trainer = make(tmp_path, updates_per_step=0.5, warmup=17)
    trainer.run()
    assert (trainer.step, trainer.agent.updates) == (40, math.floor((40 - 17) * 0.5))
    assert len(trainer.replay) > 30


def test_rows_say_step_updates_phase_and_the_contracts_names(tmp_path):
    make(tmp_path).run()
    logged = [row for row in rows(tmp_path) if "loss/critic" in row]
    assert [(row["env_step"], row["updates"], row["phase"]) for row in logged] == [
        (16 + n, n, "learning") for n in (5, 10, 15, 20)
    ]
    wanted = "loss/actor q/q1 q/q2 q/target q/actor q/gap td_error clip/actor/binding clip/critic/coefficient"
    wanted += " grad/actor/cnn/before grad/actor/joint/after grad/critic/head/after action/saturation replay/size"
    wanted += " feature/actor feature/critic weight/actor/cnn weight/critic/joint lr/actor/cnn lr/critic/head gamma"
    wanted += " replay/trained"
    wanted += " divergence/d1 divergence/d2 divergence/d7 time/updates_per_s time/env_steps_per_s time/eta_s"
    assert set(wanted.split()) <= logged[-1].keys()
    assert {row["replay/trained"] for row in logged} == {8.0}
    episodes = rows(tmp_path, "episodes.jsonl")
    assert {"return", "length", "success", "phase", "seed", "terms"} <= episodes[0].keys()
    assert any("episode/return" in row and "episode/reward/centre" in row for row in rows(tmp_path))
    assert "eval/return" in rows(tmp_path)[-1]


def test_every_logged_metric_is_defined(tmp_path):
    make(tmp_path, memory="lstm", eval_every=15).run()
    names = {name for row in rows(tmp_path) for name in row} - {"env_step", "updates", "phase", "not_finite"}
    assert [name for name in names if not is_defined(name)] == []
    wanted = (
        "q/bias reward/max divergence/d3 divergence/d4 divergence/d5 divergence/d6 divergence/nonfinite eval/return"
    )
    assert set(wanted.split()) <= names


def test_the_bias_of_an_episode_is_its_first_value_less_what_followed(tmp_path):
    trainer = make(tmp_path, steps=60, monitor=False)
    told, value, step = [], trainer.agent.value, trainer.env.step
    trainer.agent.value = lambda *about: told.append(("value", value(*about))) or told[-1][1]
    trainer.env.step = lambda action: told.append(("step", step(action))) or told[-1][1]
    trainer.run()
    biases = [row["bias"] for row in rows(tmp_path, "episodes.jsonl")]
    assert [bias is None for bias in biases[:2]] == [True, True]  # of random actions
    first = next(place for place, (kind, _) in enumerate(told) if kind == "value")
    rewards, last = [], 0.0
    for place in (first - 1, *range(first + 1, len(told))):  # the first step is told just before its value
        what = told[place][1]
        rewards += [what[1]]
        if what[2] or what[3]:
            last = 0.0 if what[2] else told[place + 1][1]
            break
    expected = told[first][1] - sum(0.9**k * reward for k, reward in enumerate(rewards)) - 0.9 ** len(rewards) * last
    assert next(bias for bias in biases if bias is not None) == pytest.approx(expected)


def test_the_critic_learns_alone_at_the_end_of_warmup(tmp_path):
    trainer = make(tmp_path, critic_only_updates=6, steps=17)
    before = {key: value.clone() for key, value in weights(trainer).items()}
    seen = []
    update = trainer.agent.update
    trainer.agent.update = lambda batch, train_actor, share: (seen.append((trainer.step, train_actor)), update(batch))[
        1
    ]
    trainer.run()
    assert seen == [(16, False)] * 6 + [(17, True)]
    assert not same(before, weights(trainer))


def test_cloning_begins_with_the_critic_and_its_share_falls_when_it_is_done(tmp_path):
    trainer = make(tmp_path, critic_only_updates=2, steps=19, cloning=(0.5, 2), agent_cloning=1.0)
    seen, update = [], trainer.agent.update
    trainer.agent.update = lambda batch, **how: (seen.append(how), update(batch, **how))[1]
    trainer.run()
    assert [how["train_actor"] for how in seen] == [True] * 5
    assert [how["share"] for how in seen] == [1.0, 1.0, 1.0, 0.75, 0.5]


def test_learning_rates_fall_over_the_last_half(tmp_path):
    make(tmp_path, warmup=20, lr_final=0.2, log_every=1).run()
    found = [row["lr/actor/head"] for row in rows(tmp_path) if "lr/actor/head" in row]
    assert found[:11] == [1e-3] * 11  # of 20 updates
    assert found[11:] == pytest.approx([1e-3 * (1 - 0.08 * fallen) for fallen in range(1, 10)])


def test_a_run_that_is_extended_keeps_the_horizon_it_began_with(tmp_path):
    schedule = {"lr_final": 0.2, "exploration_noise": (0.3, 0.1), "noise_steps": None}
    make(tmp_path, steps=26, horizon=26, **schedule).run()
    extended = make(tmp_path, steps=32, horizon=32, **schedule)
    extended.run()
    assert (extended.step, extended.schedule.horizon, extended.collector.schedule.horizon) == (32, 26, 26)
    assert extended.agent.learning_rates()["lr/critic/head"] == pytest.approx(0.2e-3)


def test_exploration_noise_falls_to_its_last_value_and_stays(tmp_path):
    trainer = make(tmp_path, exploration_noise=(0.3, 0.1), noise_steps=10)
    asked = []
    act = trainer.agent.act
    trainer.agent.act = lambda observation, state, noise: (asked.append(noise), act(observation, state, noise))[1]
    trainer.run()
    training = [noise for noise in asked if noise > 0]
    assert training[:3] == pytest.approx([0.3, 0.28, 0.26])
    assert training[10:] == pytest.approx([0.1] * 14)


def test_the_learner_sees_scaled_rewards_and_the_reports_do_not(tmp_path):
    whole, tenth = make(tmp_path / "a", steps=17), make(tmp_path / "b", steps=17, reward_scale=0.1)
    for trainer in (whole, tenth):
        trainer.run()
    a, b = (trainer.replay.sample(8).rewards for trainer in (whole, tenth))
    assert torch.allclose(b, 0.1 * a, atol=1e-6)
    assert rows(tmp_path / "a", "episodes.jsonl")[0]["return"] == rows(tmp_path / "b", "episodes.jsonl")[0]["return"]
    assert tenth.monitor.r_max == pytest.approx(0.1 * whole.monitor.r_max)


def test_the_last_evaluation_leaves_a_film_strip(tmp_path):
    make(tmp_path, steps=17).run()
    assert (tmp_path / "film.png").stat().st_size > 1000


def test_warmup_actions_are_uniform_in_their_bounds(tmp_path):
    trainer = make(tmp_path, steps=300, warmup=299, updates_per_step=0.0, monitor=False)
    actions = []
    step = trainer.env.step
    trainer.env.step = lambda action: (actions.append(action), step(action))[1]
    trainer.run()
    steer, throttle = np.array(actions[:299]).T
    assert -0.3 <= throttle.min() < -0.25
    assert abs(steer.mean()) < 0.15
    assert abs(throttle.mean() - 0.35) < 0.1


def test_the_errors_of_every_update_go_back_to_a_prioritised_replay(tmp_path):
    trainer = make(tmp_path, rule=LAP(alpha=1.0), reward_scale=30.0, steps=20, monitor=False)
    given, update_priorities = [], trainer.replay.update_priorities

    def take_back(batch, errors):
        update_priorities(batch, errors)
        found = dict(zip(batch.index.tolist(), errors.flatten().tolist(), strict=True))  # the last of equals counts
        kept = trainer.replay._tree.leaves[np.array(list(found)) % trainer.replay.capacity]
        given.append(kept.tolist())
        assert kept.tolist() == pytest.approx([max(error, 1.0) for error in found.values()])

    trainer.replay.update_priorities = take_back
    trainer.run()
    assert len(given) == trainer.agent.updates == 4
    assert len(set(given[-1])) > 3


def test_prioritised_draws_train_another_way(tmp_path):
    plain, per = make(tmp_path / "a", steps=20), make(tmp_path / "b", steps=20, rule=PER())
    for trainer in (plain, per):
        trainer.run()
    assert not same(weights(plain), weights(per))
    assert per.replay._updates == 4


@pytest.mark.parametrize("stop_after", [9, pytest.param(31, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("memory", "rule"),
    [
        ("none", None),
        pytest.param("lstm", None, marks=pytest.mark.slow),
        pytest.param("none", PER(beta_updates=20), marks=pytest.mark.slow),
        ("gru", PER(beta_updates=20)),
    ],
)
def test_a_run_stopped_at_any_step_ends_with_the_same_parameters(tmp_path, memory, rule, stop_after):
    undisturbed = make(tmp_path / "a", memory=memory, rule=rule)
    undisturbed.run()
    first = make(tmp_path / "b", memory=memory, rule=rule, stop_after=stop_after)
    first.run()
    assert first.step < 40
    second = make(tmp_path / "b", memory=memory, rule=rule)
    second.run()
    assert second.step == 40
    assert same(weights(undisturbed), weights(second))
    assert timeless(rows(tmp_path / "a")) == timeless(rows(tmp_path / "b"))
    assert rows(tmp_path / "a", "episodes.jsonl") == rows(tmp_path / "b", "episodes.jsonl")


def test_a_finished_run_is_extended_as_if_it_had_never_stopped(tmp_path):
    whole = make(tmp_path / "a", steps=40)
    whole.run()
    make(tmp_path / "b", steps=28).run()
    extended = make(tmp_path / "b", steps=40)
    extended.run()
    assert same(weights(whole), weights(extended))


def kill_at(number, trainer):
    """Run a trainer that dies in the environment's step after this one."""
    step = trainer.env.step

    def die(action):
        if trainer.step == number:
            raise KeyboardInterrupt
        return step(action)

    trainer.env.step = die
    with pytest.raises(KeyboardInterrupt):
        trainer.run()


@pytest.mark.slow
def test_rows_written_after_the_checkpoint_by_a_killed_run_are_not_doubled(tmp_path):
    make(tmp_path / "a").run()
    kill_at(30, make(tmp_path / "b", save_every=20))
    make(tmp_path / "b", save_every=20).run()
    assert timeless(rows(tmp_path / "a")) == timeless(rows(tmp_path / "b"))


def test_rows_of_a_run_that_was_killed_before_its_first_checkpoint_are_not_doubled(tmp_path):
    kill_at(14, make(tmp_path, steps=17))
    assert [row["episode"] for row in rows(tmp_path, "episodes.jsonl")] == [1]
    make(tmp_path, steps=17).run()
    assert [row["episode"] for row in rows(tmp_path, "episodes.jsonl")] == [1]
    steps = [row["env_step"] for row in rows(tmp_path)]
    assert steps == sorted(steps)
    assert steps.count(12) == 1


def test_an_evaluation_due_at_the_last_step_is_made_there_by_a_run_that_is_extended(tmp_path):
    options = {"warmup": 11, "eval_every": 12, "updates_per_step": 0.1}
    for folder, sessions in (("whole", [40]), ("extended", [24, 40])):
        for steps in sessions:
            make(tmp_path / folder, env=DotEnv(length=12), steps=steps, **options).run()
    for folder in ("whole", "extended"):
        evaluated = [row["env_step"] for row in rows(tmp_path / folder) if "eval/return" in row]
        assert evaluated == [12, 24, 36, 40], folder
    assert timeless(rows(tmp_path / "whole")) == timeless(rows(tmp_path / "extended"))


def test_a_signal_ends_the_critics_burst_and_the_resume_finishes_it_before_the_next_step(tmp_path):
    burst = {"critic_only_updates": 6, "steps": 20}
    whole = make(tmp_path / "a", **burst)
    whole.run()
    stopped = make(tmp_path / "b", **burst)
    stopped.interrupted = lambda: stopped.agent.updates == 2
    stopped.run()
    assert (stopped.step, stopped.agent.updates) == (16, 2)
    resumed = make(tmp_path / "b", **burst)
    resumed.run()
    assert (resumed.step, resumed.agent.updates) == (20, 10)
    assert same(weights(whole), weights(resumed))
    assert timeless(rows(tmp_path / "a")) == timeless(rows(tmp_path / "b"))


def test_a_full_replay_that_can_never_hold_a_batch_is_told_of_once(tmp_path, caplog):
    trainer = make(tmp_path, capacity=12, batch_size=12)
    trainer.run()
    assert trainer.agent.updates == 0
    told = [record.getMessage() for record in caplog.records if "replay.capacity" in record.getMessage()]
    assert len(told) == 1
    assert "no batch of 12 windows can be drawn" in told[0]


def test_a_replay_that_is_not_full_yet_is_waited_for_in_silence(tmp_path, caplog):
    trainer = make(tmp_path, capacity=60, batch_size=30, steps=36)
    trainer.run()
    assert trainer.agent.updates > 0
    assert "replay.capacity" not in caplog.text


@pytest.mark.slow
def test_an_evaluation_that_a_signal_broke_off_is_made_after_the_resume(tmp_path):
    whole = make(tmp_path / "a", eval_every=12, warmup=11)
    whole.run()
    evaluated = [row["env_step"] for row in rows(tmp_path / "a") if "eval/return" in row]
    assert len(evaluated) > 2
    for stop_after in (20, 40, 60, 80):  # an evaluation asks at every step as well
        folder = tmp_path / str(stop_after)
        make(folder, eval_every=12, warmup=11, stop_after=stop_after).run()
        make(folder, eval_every=12, warmup=11).run()
        assert timeless(rows(tmp_path / "a")) == timeless(rows(folder))


def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path):
    make(tmp_path).run()
    with pytest.raises(UserError, match="conv"):
        make(tmp_path, cnn="pooled", steps=50).run()


@pytest.mark.parametrize(
    ("length", "warmup", "evaluated"),
    [(12, 11, [12, 24, 36, 40]), (12, 16, [24, 36, 40]), (12, 24, [36, 40]), (8, 14, [24, 40])],
)
def test_a_warmup_is_not_evaluated_nor_what_was_due_in_it(tmp_path, length, warmup, evaluated):
    make(tmp_path, env=DotEnv(length=length), warmup=warmup, eval_every=12, updates_per_step=0.1).run()
    assert [row["env_step"] for row in rows(tmp_path) if "eval/return" in row] == evaluated


def test_evaluation_changes_nothing_that_is_trained(tmp_path):
    often, never = make(tmp_path / "a", eval_every=5), make(tmp_path / "b")
    often.run()
    never.run()
    assert len([row for row in rows(tmp_path / "a") if "eval/return" in row]) > 2
    assert same(weights(often), weights(never))
