"""Run the TD3 script of the `cleanrl` package, unchanged or with the three lines of our hook put in.

``python cleanrl_itself.py plain|hooked STEPS LEARNING_STARTS`` writes CleanRL's own event file below ``runs/``. The
script is of 2021 and asks for `gym` and `pybullet_envs`: both names are given to it here, on top of gymnasium.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import gymnasium
import torch

from td3sweep.monitor.watch import Watch

GAMMA, EPISODE = 0.97, 50
HOOK = {  # where in the script, by the line that follows
    'writer.add_scalar("losses/qf1_loss"': "watch.update(global_step, q_actor=-actor_loss, q1=qf1_a_values, "
    "q_target=next_q_value, rewards=s_rewards)",
    'writer.add_scalar("charts/episode_reward"': f"watch.episode(global_step, length={EPISODE}, ret=episode_reward)",
}


class OldGym(gymnasium.Wrapper):
    """gym's interface before 0.26."""

    first_seed = None

    def seed(self, seed):
        self.first_seed = seed

    def reset(self):
        observation, _ = self.env.reset(seed=self.first_seed)
        self.first_seed = None
        return observation

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated or truncated, info


def old_modules():
    gym, wrappers = ModuleType("gym"), ModuleType("gym.wrappers")
    gym.make = lambda name: OldGym(gymnasium.make(name, max_episode_steps=EPISODE))
    wrappers.TimeLimit = wrappers.Monitor = None
    return {
        "gym": gym, "gym.wrappers": wrappers, "gym.spaces": gymnasium.spaces,
        "pybullet_envs": ModuleType("pybullet_envs"),
    }  # fmt: skip


def hooked(source):
    lines = []
    for line in source.splitlines():
        lines += [line[: len(line) - len(line.lstrip())] + hook for mark, hook in HOOK.items() if mark in line]
        lines.append(line)
    assert len(lines) == len(source.splitlines()) + len(HOOK)
    return "\n".join(lines)


def main(how, steps, learning_starts):
    torch.set_num_threads(1)
    sys.modules |= old_modules()
    script = Path(importlib.util.find_spec("cleanrl.td3_continuous_action").origin)
    options = {"gym-id": "Pendulum-v1", "total-timesteps": steps, "learning-starts": learning_starts, "gamma": GAMMA,
               "batch-size": 32, "seed": 1}  # fmt: skip
    sys.argv = [str(script), *(f"--{name}={value}" for name, value in options.items())]
    watch = Watch(gamma=GAMMA, warmup=int(learning_starts))
    source = script.read_text()
    exec(
        compile(hooked(source) if how == "hooked" else source, str(script), "exec"),
        {"__name__": "__main__", "__file__": str(script), "watch": watch},
    )
    if how == "hooked":
        print(watch.report())


if __name__ == "__main__":
    main(*sys.argv[1:])
