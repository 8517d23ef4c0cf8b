"""The callback for stable-baselines3, in real training runs of that library."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.callbacks import CallbackList, EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from td3sweep.errors import UserError
from td3sweep.monitor.stable_baselines3 import DivergenceMonitor


def pendulum(steps=50):
    return gymnasium.make("Pendulum-v1", max_episode_steps=steps)


def model(algorithm=TD3, env=None, **options):
    torch.set_num_threads(1)
    options = {"learning_starts": 250, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}, "seed": 1} | options
    return algorithm("MlpPolicy", env or pendulum(), **options)


def test_one_line_gives_a_verdict_at_the_end(capsys):
    model().learn(600, callback=DivergenceMonitor(every=15))
    out = capsys.readouterr().out
    assert out.startswith("verdict: ")
    missing = out.partition("left out")[2]
    assert "d0" in missing
    assert not any(name in missing for name in ("d1", "d2", "d3", "d4", "d5"))


@pytest.mark.slow
def test_training_goes_on_bit_for_bit_as_without_it():
    plain = model().learn(500)  # seeds the global random streams when it is made
    watched = model().learn(500, callback=DivergenceMonitor(every=7, verbose=0))
    for one, other in zip(plain.policy.state_dict().values(), watched.policy.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_what_it_measures_is_what_the_networks_say():
    callback, trained = DivergenceMonitor(every=1, verbose=0), model()
    trained.learn(260, callback=callback)
    state = np.random.get_state()
    batch = trained.replay_buffer.sample(trained.batch_size)
    np.random.set_state(state)
    measured = callback._measured(trained)
    observations = batch.observations
    with torch.no_grad():
        assert torch.equal(measured["q_actor"], trained.critic.q1_forward(observations, trained.actor(observations)))
        assert torch.equal(measured["q1"], trained.critic(observations, batch.actions)[0])
    spread = (measured["q_target"] - batch.rewards).abs()
    assert spread.max() < 16.3  # young networks: the target is the reward and little more
    assert float(measured["actor_gradient"]) > 0


def test_a_batch_of_a_version_that_knows_no_discounts(monkeypatch):
    callback, trained = DivergenceMonitor(every=1, verbose=0), model()
    trained.learn(260, callback=callback)
    monkeypatch.setattr(callback, "_noise", torch.Generator().manual_seed(0))
    state = np.random.get_state()
    expected = callback._measured(trained)["q_target"]
    sample = trained.replay_buffer.sample

    def of_old(*arguments, **options):
        batch = sample(*arguments, **options)
        return SimpleNamespace(**{key: value for key, value in batch._asdict().items() if key != "discounts"})

    monkeypatch.setattr(trained.replay_buffer, "sample", of_old)
    callback._noise.manual_seed(0)
    np.random.set_state(state)
    assert torch.equal(callback._measured(trained)["q_target"], expected)


def test_a_learner_that_diverges_is_stopped_where_that_is_asked_for(capsys):
    callback = DivergenceMonitor(stop=True, every=10)
    diverging = model(learning_rate=1.0)
    diverging.learn(2000, callback=callback)
    assert callback.watch.monitor.must_stop
    assert 250 < diverging.num_timesteps < 1500
    assert callback.report().more_steps_help == "no"
    assert "FAIL" in capsys.readouterr().out


def test_evaluations_are_overheard(tmp_path):
    callback = DivergenceMonitor(verbose=0)
    evaluation = EvalCallback(pendulum(5), eval_freq=50, n_eval_episodes=1, verbose=0)
    model().learn(500, callback=CallbackList([evaluation, callback]))
    assert not any(line.startswith("d6") for line in callback.report().missing)


def test_several_environments_with_normalised_rewards():
    envs = VecNormalize(DummyVecEnv([pendulum, pendulum]))
    callback = DivergenceMonitor(verbose=0, every=10)
    model(env=envs).learn(800, callback=callback)
    lengths = callback.watch.monitor.state_dict()["detectors"]["d5"]
    assert "50" in str(lengths) or str(np.log(50))[:6] in str(lengths)
    assert callback.watch.monitor.state_dict()["detectors"]["d1"]["r_max"] <= 10.0  # VecNormalize clips at 10


def test_ddpg_too_and_a_second_learn_goes_on():
    callback, ddpg = DivergenceMonitor(verbose=0), model(DDPG)
    ddpg.learn(400, callback=callback)
    before = callback.watch
    ddpg.learn(100, callback=callback, reset_num_timesteps=False)
    assert callback.watch is before


def test_an_algorithm_it_cannot_read_is_refused():
    with pytest.raises(UserError, match="reads TD3 and DDPG, not SAC"):
        model(SAC).learn(10, callback=DivergenceMonitor())
