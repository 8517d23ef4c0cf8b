"""Recordings made by hand, for the toy environment's sizes."""

import json

import numpy as np

from td3sweep.collect.tapes import FILE, Tape

ABOUT = {
    "format": 1, "simulator": "by hand", "driver": {"policy": "nobody"}, "frame": [84, 84], "vector_size": 2,
    "action_size": 2, "settings": {},
}  # fmt: skip


def tape(rewards, *, first=0, terminated=False, meant=None, unlearnt=None):
    """An episode whose observations count from ``first``; action t is (t, -t) / 100."""
    steps = len(rewards)
    numbers = first + np.arange(steps + 1)
    actions = np.stack([numbers[:-1], -numbers[:-1]], axis=1).astype(np.float32) / 100
    return Tape(
        frames=np.broadcast_to(numbers.astype(np.uint8)[:, None, None], (steps + 1, 84, 84)).copy(),
        vectors=np.stack([numbers, 2 * numbers], axis=1).astype(np.float32),
        actions=actions,
        meant=np.full((steps, 2), np.nan, np.float32) if meant is None else np.array(meant, np.float32),
        rewards=np.array(rewards, float),
        unlearnt=np.zeros(steps) if unlearnt is None else np.array(unlearnt, float),
        terminated=terminated,
        truncated=not terminated,
    )


def record(directory, tapes, **about):
    """Write them as a recording, seeds from 70 on; returns the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    episodes = []
    for number, each in enumerate(tapes):
        each.save(directory / f"{number}.npz")
        episodes.append(
            {"file": f"{number}.npz", "steps": each.steps, "seed": 70 + number, "success": True, "end": "route_done"}
        )
    (directory / FILE).write_text(json.dumps(ABOUT | {"episodes": episodes} | about))
    return directory
