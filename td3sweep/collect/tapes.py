"""Recorded episodes on disk: an array file each, and one file that says what they were made on.

``recording.json`` names the episodes; one that it does not name is no part of the recording. It has ``format``, the
sizes of the arrays (:data:`SIZES`), ``settings``, the dotted keys that were driven with (``Role.TAPED`` tells which of
them a run must share), and ``episodes``, of each its ``file``, ``steps``, ``seed``, ``success`` and ``end``. Further
keys, such as ``simulator`` and ``driver``, are for people.

An episode of T steps is an ``.npz`` of the arrays of :class:`Tape`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.config.roles import keys_of
from td3sweep.config.saved import flatten
from td3sweep.config.setting import Role
from td3sweep.config.settings import RecordedDemonstrationSettings, Settings
from td3sweep.envs.carla.shaping import POTENTIALS
from td3sweep.envs.protocol import FRAME_SIZE
from td3sweep.errors import UserError
from td3sweep.files import write_atomically

FILE = "recording.json"
FORMAT = 1
SIZES = ("frame", "vector_size", "action_size")
TERMS = "reward.terms."
ANEW = "record anew with td3sweep.evaluate --record"


@dataclass(frozen=True)
class Tape:
    """One whole episode of T steps.

    Attributes:
        frames: uint8 [T + 1, height, width] each camera frame once; stacks repeat the first before the start.
        vectors: float32 [T + 1, V].
        actions: float32 [T, A] as they were done.
        meant: float32 [T, A] as they were meant, NaN where that is the same.
        rewards: float64 [T] as the environment gave them, unscaled.
        unlearnt: float64 [T] the part of each that a learner leaves out.
        terminated, truncated: bool [] how it ended.
    """

    frames: NDArray[np.uint8]
    vectors: NDArray[np.float32]
    actions: NDArray[np.float32]
    meant: NDArray[np.float32]
    rewards: NDArray[np.float64]
    unlearnt: NDArray[np.float64]
    terminated: bool
    truncated: bool

    @property
    def steps(self) -> int:
        """How many."""
        return len(self.actions)

    def save(self, path: Path) -> None:
        """Write it, compressed; the file appears whole or not at all."""
        arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        write_atomically(path, content.getvalue())


class Tapes:
    """The recorded episodes of a directory, read one at a time.

    Attributes:
        directory: theirs.
        about: what ``recording.json`` holds.
        steps: of each episode.
        digest: of ``recording.json``: tells one recording from another.
    """

    def __init__(self, directory: Path) -> None:
        """
        Raises:
            UserError: there is no recording, or not of this version.
        """
        self.directory = directory
        path = directory / FILE
        if not path.is_file():
            what = f"no recording, it has no {FILE}" if directory.is_dir() else "no such directory"
            raise _refusal(directory, f"{what}; give one that td3sweep.evaluate --record wrote")
        text = path.read_bytes()
        self.digest = hashlib.sha256(text).hexdigest()
        try:
            self.about: dict[str, Any] = json.loads(text)
            known = self.about["format"] == FORMAT and self.about.keys() >= {*SIZES, "settings"}
            self.steps = [int(episode["steps"]) for episode in self.about["episodes"]]
        except (ValueError, KeyError, TypeError) as error:
            raise _refusal(directory, f"its {FILE} is damaged; {ANEW}") from error
        if not known:
            raise _refusal(directory, f"its {FILE} is not of this version's format; {ANEW}")

    def read(self, number: int) -> Tape:
        """One episode.

        Raises:
            UserError: its file is missing, damaged or of other sizes than ``recording.json`` says.
        """
        name, count = self.about["episodes"][number]["file"], self.steps[number]
        try:
            with np.load(self.directory / name, allow_pickle=False) as arrays:
                found: dict[str, Any] = {field.name: arrays[field.name] for field in dataclasses.fields(Tape)}
            ends = {key: bool(found[key]) for key in ("terminated", "truncated")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise _refusal(self.directory, f"{name} is missing or damaged; {ANEW}") from error
        frame, vector, action = (self.about[key] for key in SIZES)
        shapes = {
            "frames": (count + 1, *frame),
            "vectors": (count + 1, vector),
            "actions": (count, action),
            "meant": (count, action),
            "rewards": (count,),
            "unlearnt": (count,),
        }
        odd = [key for key, shape in shapes.items() if found[key].shape != shape]
        odd += [key for key in shapes if key != "meant" and not odd and not np.isfinite(found[key]).all()]
        if odd or count == 0 or found["frames"].dtype != np.uint8 or ends["terminated"] == ends["truncated"]:
            raise _refusal(self.directory, f"{name}: {odd[0] if odd else 'it'} is not as {FILE} says; {ANEW}")
        return Tape(**found | ends)

    @property
    def line(self) -> str:
        """What it is, for people."""
        driver, simulator = self.about.get("driver", {}).get("policy", "somebody"), self.about.get("simulator", "")
        where = f" on {simulator}" if simulator else ""
        return f"{len(self.steps)} episodes of {sum(self.steps)} steps in {self.directory}, driven by {driver}{where}"

    def check_sizes(self, vector_size: int, action_size: int) -> None:
        """Raise UserError unless observations and actions have these sizes."""
        for key, asked in zip(SIZES, ([FRAME_SIZE, FRAME_SIZE], vector_size, action_size), strict=True):
            if self.about[key] != asked:
                raise _refusal(self.directory, f"its {key} is {self.about[key]}, and this run's {asked}; {ANEW}")


def check_recording(settings: Settings) -> None:
    """Refuse demonstrations that cannot be read, are too few or were made on another task.

    Raises:
        UserError: the line says which.
    """
    shown = settings.demonstrations
    if not isinstance(shown, RecordedDemonstrationSettings) or shown.path is None:
        return
    tapes = Tapes(Path(shown.path))
    if unlike := differences(tapes.about["settings"], settings):
        told = ", ".join(f"{key}={json.dumps(was)} (this run: {json.dumps(now)})" for key, was, now in unlike)
        raise _refusal(tapes.directory, f"recorded with {told}; repeat what it was recorded with, or {ANEW}")
    held, needed = sum(tapes.steps), settings.warmup - min(shown.random_steps, settings.warmup)
    if held < needed:
        raise _refusal(
            tapes.directory,
            f"it holds {held} steps, and warmup={settings.warmup} less "
            f"demonstrations.random_steps={shown.random_steps} needs {needed}; record more episodes or lower warmup",
        )


def differences(recorded: dict[str, Any], settings: Settings) -> list[tuple[str, Any, Any]]:
    """Keys of the task whose recorded and present values differ; what a recording does not say is not compared."""
    asked = flatten(settings)
    if recorded.get("env.name", settings.env.name) != settings.env.name:
        return [("env.name", recorded["env.name"], settings.env.name)]  # the rest follows from it
    keys = [key for key in keys_of(Role.TAPED) if key in recorded]
    terms = {key for key in recorded if key.startswith(TERMS)}
    if terms:
        keys += sorted(terms | {key for key in asked if key.startswith(TERMS)})
    if any(key.removeprefix(TERMS) in POTENTIALS for key in terms) and "hyperparams.gamma" in recorded:
        keys.append("hyperparams.gamma")  # shaping depends on it
    absent = {key: 0.0 for key in keys if key.startswith(TERMS)}
    values = [(key, recorded.get(key, absent.get(key)), asked.get(key, absent.get(key))) for key in keys]
    return [value for value in values if value[1] != value[2]]


def _refusal(directory: Path, why: str) -> UserError:
    return UserError(f"demonstrations.path={directory}: {why}")
