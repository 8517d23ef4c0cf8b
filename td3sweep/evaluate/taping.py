"""``--record``: what an environment showed and paid, episode by episode, as demonstrations for a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from td3sweep.collect.evaluation import EpisodeOutcome
from td3sweep.collect.tapes import FILE, FORMAT, TERMS, Tape
from td3sweep.config.saved import flatten
from td3sweep.config.settings import Settings
from td3sweep.envs.protocol import FRAME_SIZE, Action, Env, Observation, executed
from td3sweep.errors import UserError
from td3sweep.files import write_atomically
from td3sweep.record.console import simulator
from td3sweep.record.provenance import software


class Taping:
    """An environment that remembers its newest episode."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self.vector_size, self.action_size = env.vector_size, env.action_size
        self._observations: list[Observation] = []
        self._steps: list[tuple[Any, ...]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode, and forget the one before."""
        observation, info = self._env.reset(seed=seed, options=options)
        self._observations, self._steps = [], []
        self._note(observation)
        return observation, info

    def step(self, action: Action | None) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One step, remembered."""
        observation, reward, terminated, truncated, info = self._env.step(action)
        self._note(observation)
        unlearnt = float(info.get("unlearnt", 0.0))
        self._steps.append(
            (np.array(executed(action, info), np.float32), float(reward), unlearnt, terminated, truncated)
        )
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _note(self, observation: Observation) -> None:
        self._observations.append({"image": observation["image"][-1].copy(), "vector": observation["vector"].copy()})

    def tape(self) -> Tape:
        """The episode that just ended; what was done is what was meant."""
        actions, rewards, unlearnt, terminated, truncated = zip(*self._steps, strict=True)
        done = np.stack(actions)
        return Tape(
            frames=np.stack([seen["image"] for seen in self._observations]),
            vectors=np.stack([seen["vector"] for seen in self._observations]).astype(np.float32),
            actions=done,
            meant=np.full_like(done, np.nan),
            rewards=np.array(rewards, np.float64),
            unlearnt=np.array(unlearnt, np.float64),
            terminated=bool(terminated[-1]),
            truncated=bool(truncated[-1]) and not terminated[-1],
        )


class Shelf:
    """A directory of recorded episodes that grows: with each, ``recording.json`` names one more."""

    def __init__(self, directory: Path, settings: Settings, driver: Mapping[str, Any]) -> None:
        """
        Args:
            directory: new or empty.
            settings: what is driven on.
            driver: who drives, for people.

        Raises:
            UserError: something is there already.
        """
        if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
            what = "a recording" if (directory / FILE).is_file() else "something else"
            raise UserError(f"--record={directory}: {what} is there already; give a new or empty directory")
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._settings, self._driver = directory, settings, dict(driver)
        self._episodes: list[dict[str, Any]] = []

    def add(self, seed: int, tape: Tape, outcome: EpisodeOutcome) -> None:
        """Write one episode, then that it is there."""
        file = f"episode-{len(self._episodes):04}.npz"
        tape.save(self._directory / file)
        self._episodes.append(
            {
                "file": file,
                "steps": tape.steps,
                "seed": seed,
                "success": bool(outcome.info.get("success", False)),
                "end": str(outcome.info.get("end", "")),
                "return": outcome.total,
            }
        )
        about = {
            "format": FORMAT,
            "simulator": simulator(self._settings),
            "driver": self._driver,
            "frame": [FRAME_SIZE, FRAME_SIZE],
            "vector_size": tape.vectors.shape[1],
            "action_size": tape.actions.shape[1],
            "settings": driven_with(self._settings),
            "made": {"at": datetime.now(timezone.utc).isoformat(), **software()},
            "episodes": self._episodes,
        }
        write_atomically(self._directory / FILE, json.dumps(about, indent=1) + "\n")

    @property
    def line(self) -> str:
        """What was recorded, for people."""
        steps = sum(episode["steps"] for episode in self._episodes)
        return f"recorded: {self._directory}, {len(self._episodes)} episodes of {steps} steps in all"


def driven_with(settings: Settings) -> dict[str, Any]:
    """The dotted keys of environment and reward, and what else decides what an episode shows and pays."""
    chosen = {
        key: value
        for key, value in flatten(settings).items()
        if key.startswith(("env.", "reward.")) or key in ("frame_stack", "hyperparams.gamma")
    }
    return {key: value for key, value in chosen.items() if not (key.startswith(TERMS) and value == 0.0)}
