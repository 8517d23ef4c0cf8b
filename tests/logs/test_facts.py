"""What a log tells beside its series: the algorithm, the discount, the warm-up, what was not used."""

import numpy as np
import pytest

from td3sweep.diagnose.judge import judge
from td3sweep.logs.algorithm import algorithm_of
from td3sweep.logs.find import read
from td3sweep.logs.named import under_our_names

ZOO = """!!python/object/apply:collections.OrderedDict
- - - buffer_size
    - 200000
  - - gamma
    - 0.98
  - - learning_starts
    - 10000
"""


def table(folder, text, name="progress.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


SMALL = "step,actor_loss,q1\n" + "".join(f"{step},{-step / 100},{step / 100}\n" for step in range(100, 2000, 100))


@pytest.mark.parametrize(
    ("name", "text", "gamma", "warmup"),
    [
        ("config.yml", ZOO, 0.98, 10_000),
        ("config.yaml", "gamma:\n  value: 0.97\nlearning_starts:\n  value: 500\n", 0.97, 500),  # wandb's
        ("params.json", '{"gamma": 0.96, "start_steps": 100}', 0.96, 100),
        ("hparams.yaml", "discount: 0.95\n", 0.95, None),
        ("config.json", '{"learning_rate": 0.001}', None, None),
    ],
)
def test_settings_beside_a_log(tmp_path, name, text, gamma, warmup):
    table(tmp_path, SMALL)
    (tmp_path / name).write_text(text)
    log = read(tmp_path)
    assert (log.gamma, log.warmup) == (gamma, warmup)
    assert sum(name in note for note in log.notes) == (gamma is not None) + (warmup is not None)


def test_evaluations_kept_in_a_file_of_their_own(tmp_path):
    table(tmp_path, SMALL)
    np.savez(tmp_path / "evaluations.npz", timesteps=np.arange(1, 13) * 150, results=np.arange(12.0)[:, None])
    log = under_our_names(read(tmp_path), {}, None)
    assert [row.values["eval/return"] for row in log.rows if "eval/return" in row.values] == list(range(12))
    report = judge(log, gamma=None, r_max=None).report
    assert report.progress.kind == "rose"


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (["train/actor_loss", "train/critic_loss"], ""),
        (["train/actor_loss", "train/ent_coef"], "SAC"),
        (["losses/alpha", "losses/actor_loss"], "SAC"),
        (["train/approx_kl", "train/policy_gradient_loss"], "PPO"),
        (["actor_loss", "bc_loss"], "TD3+BC"),
        (["losses/td_loss", "losses/q_values"], "DQN"),
    ],
)
def test_the_algorithm_by_its_series(tags, name):
    assert algorithm_of(tags) == name


def test_a_policy_loss_of_ppo_is_no_q(tmp_path):
    rows = "".join(f"{step},-{step},0.01\n" for step in range(100, 3000, 100))
    log = under_our_names(read(table(tmp_path, "step,policy_gradient_loss,approx_kl\n" + rows)), {}, None)
    assert not any("q/actor" in row.values for row in log.rows)
    assert any(note.startswith("PPO by its series") for note in log.notes)


def test_the_discount_as_a_column(tmp_path):
    rows = "".join(f"{step},1.0,0.97\n" for step in range(100, 900, 100))
    assert read(table(tmp_path, "step,critic_loss,config/gamma\n" + rows)).gamma == 0.97


def test_the_largest_reward_from_skrls_bounds(tmp_path):
    header = "step,Loss / Critic loss,Reward / Instantaneous reward (max),Reward / Instantaneous reward (min)\n"
    log = read(table(tmp_path, header + "".join(f"{step},1,0.5,-3\n" for step in range(1, 9))))
    named = under_our_names(log, {}, None)
    from td3sweep.monitor.verdict import Monitor

    seen = []
    original = Monitor.reward
    Monitor.reward = lambda self, value: seen.append(abs(value)) or original(self, value)
    try:
        judge(named, gamma=0.9, r_max=None)
    finally:
        Monitor.reward = original
    assert max(seen) == 3.0


def test_series_that_were_not_used_are_listed_with_the_nearest_name(tmp_path):
    rows = "".join(f"{step},1,2,3,4\n" for step in range(1, 9))
    log = under_our_names(read(table(tmp_path, "step,critic_loss,actr_los,zzz,fps\n" + rows)), {}, None)
    assert log.unused == {"actr_los": "loss/actor", "zzz": ""}  # frames a second are known, and nobody's evidence
    assert any("actr_los (--map actr_los=loss/actor ?), zzz" in note for note in log.notes)
    assert log.mapping == {"step": "step", "critic_loss": "loss/critic"}


def test_a_loss_below_a_gradients_heading_is_no_loss(tmp_path):
    rows = "".join(f"{step},1,2\n" for step in range(1, 9))
    log = under_our_names(read(table(tmp_path, "step,grad_norm/actor_loss,critic_loss\n" + rows)), {}, None)
    assert "loss/actor" not in log.mapping.values()
