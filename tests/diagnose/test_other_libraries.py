"""Logs that other libraries really wrote."""

import json

import gymnasium
import pytest
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor


@pytest.fixture(scope="module")
def sb3(tmp_path_factory):
    """A folder with progress.csv, progress.json, an event file and a Monitor file of one run of stable-baselines3."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("sb3")
    env = Monitor(gymnasium.make("Pendulum-v1", max_episode_steps=50), str(path / "train"))
    model = TD3("MlpPolicy", env, learning_starts=250, batch_size=16, policy_kwargs={"net_arch": [8]}, seed=1)
    model.set_logger(configure(str(path), ["csv", "json", "tensorboard"]))
    evaluation = EvalCallback(gymnasium.make("Pendulum-v1", max_episode_steps=20), eval_freq=300, n_eval_episodes=1,
                              verbose=0, log_path=None)  # fmt: skip
    model.learn(900, callback=evaluation, log_interval=1)
    return path


@pytest.mark.parametrize("name", ["progress.csv", "progress.json", "events*"])
def test_stable_baselines3_progress(sb3, name, diagnose):
    [file] = sb3.glob(name)
    code, out, err = diagnose(file, "--gamma", "0.99", "--r-max", "16.3")
    assert (code, err) == (0, "")
    assert "rollout/ep_len_mean = episode/length" in out
    assert "eval/mean_reward = eval/return" in out
    assert "q/actor = -actor loss, which holds for TD3 and DDPG" in out
    assert "a mean over episodes by its name" in out
    assert "d2: q/q1 not logged" in out
    assert "d1" not in out
    # One row an episode of 50 steps and one an evaluation; the learner's first numbers come at the episode after 250.
    assert "learning is taken to begin at step 300, the first with a loss or a Q" in out


def test_stable_baselines3_folder_takes_episodes_from_its_monitor(sb3, diagnose):
    code, out, err = diagnose(sb3)
    assert (code, err) == (0, "")
    assert ", 18 episodes, steps 50 to 900" in out
    assert "a mean over episodes by its name" not in out


def test_cleanrl_style_event_file(sound, diagnose):
    code, out, err = diagnose(sound[0])
    assert (code, err) == (0, "")
    for text in (
        "losses/qf1_values = q/q1", "losses/qf2_values = q/q2", "losses/qf_loss = loss/critic",
        "losses/actor_loss = loss/actor", "charts/episodic_return = episode/return",
        "charts/episodic_length = episode/length", "q/actor = -actor loss",
        "growth of", "d4: action/saturation, grad/actor/head/before not logged",
    ):  # fmt: skip
        assert text in out, text
    assert "gamma is not known" not in out  # CleanRL's table of arguments tells it
    code, out, _ = diagnose(sound[0], "--json")
    assert json.loads(out)["verdict"] in ("not learning yet", "suspicious", "healthy")


def test_cleanrl_style_divergence_is_told(slipped, diagnose):
    _, out, _ = diagnose(slipped[0], "--r-max", "16.3", "--json")
    found = json.loads(out)
    assert (found["verdict"], found["more_steps_help"]) == ("diverging", "no")
    assert 250 < found["first_alarm_step"] <= 1100
    assert "d1" in {alarm["detector"] for alarm in found["alarms"]}
