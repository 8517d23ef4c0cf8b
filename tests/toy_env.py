"""A quick Gymnasium environment with images, decided by its seed: a dot to be kept in the picture's middle."""

import gymnasium
import numpy as np
from gymnasium import spaces

from td3sweep.errors import SimulatorError


class DotEnv(gymnasium.Env):
    """Four stacked frames with a bright square; action 0 moves it, leaving the picture ends the episode."""

    vector_size, action_size = 2, 2

    def __init__(self, length=12, fail_at=()):
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (4, 84, 84), np.uint8),
                "vector": spaces.Box(-1.0, 1.0, (2,), np.float32),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.length, self.fail_at, self.total_steps, self.resets = length, set(fail_at), 0, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append(seed)
        self.place, self.time = float(self.np_random.uniform(30, 50)), 0
        frame = self._frame()
        self.stack = np.stack([frame] * 4)
        return self._observation(), {}

    def step(self, action):
        self.total_steps += 1
        if self.total_steps in self.fail_at:
            raise SimulatorError(f"injected at step {self.total_steps}", "hang")
        self.place += 6.0 * float(action[0]) + float(self.np_random.normal())
        self.time += 1
        self.stack = np.concatenate([self.stack[1:], self._frame()[None]])
        gone = not 0 <= self.place <= 76
        reward = 1.0 - abs(self.place - 38) / 38
        info = {"success": False, "end": "gone" if gone else "", "reward_terms": {"centre": reward}}
        return self._observation(), reward, gone, not gone and self.time >= self.length, info

    def _frame(self):
        frame = np.full((84, 84), self.time, np.uint8)
        column = int(np.clip(self.place, 0, 76))
        frame[38:46, column : column + 8] = 255
        return frame

    def _observation(self):
        return {"image": self.stack.copy(), "vector": np.array([self.place / 84, self.time / 99], np.float32)}
