"""Somebody who can keep the toy environment's dot in the middle, and shows it."""

import numpy as np
from toy_env import DotEnv

from td3sweep.collect.demonstrate import Demonstrator


class Homing:
    """Steers to the middle, harder the longer it drives: what it does depends on all it was told since `begin`."""

    def begin(self, seed, info):
        self.seed, self.told = seed, info.get("told", 0)

    def act(self, observation, info):
        self.told += info.get("told", 1)
        return homing(observation, self.told)


def homing(observation, told=0):
    off = 38 / 84 - float(observation["vector"][0])
    return np.clip(np.array([2.0 * off * (1 + told / 50), 0.5], np.float32), -1.0, 1.0)


class Telling(DotEnv):
    """Tells in its info how far it is, and of a bonus of .25 that is not to be learnt in every third step."""

    def reset(self, **options):
        observation, info = super().reset(**options)
        return observation, info | {"told": 3}

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        bonus = 0.25 if self.time % 3 == 0 else 0.0
        return observation, reward + bonus, terminated, truncated, info | {"told": self.time, "unlearnt": bonus}


def shows(*noise):
    return Demonstrator(Homing(), noise)
