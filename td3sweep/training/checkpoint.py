"""One atomic save and restore of everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
import math
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from td3sweep.errors import UserError
from td3sweep.replay.memory import Replay

log = logging.getLogger(__name__)

FORMAT = 1
SEGMENT_SLOTS = 4096  # about 29 MB: bounds what a save copies at a time
KEEP = 2  # checkpoints kept: the newest, and one to fall back on
BEST = "best.pt"
ADDED = frozenset({"format", "replay", "segments", "segments_end"})  # to what a trainer saves
OWN = re.compile(
    r"\.?(step-\d+\.pt|segment-\d+-\d+\.npz)(\.part)?|\.best\.pt\.part"
)  # what a save may remove, half-written files too
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Saved:
    """A checkpoint read back: its payload and the replay's segments in the order they were written."""

    path: Path
    payload: dict[str, Any]
    segments: list[Arrays]


class Checkpoints:
    """Checkpoints of one run; the replay is saved as segments, each slot written once.

    A checkpoint names the segments that belong to it. Segments and checkpoints appear whole (written aside, flushed to
    disk, renamed), segments before the checkpoint that needs them. A segment goes once the replay has overwritten all
    of it and no kept checkpoint names it. Files of other names, such as a copy of a checkpoint, are left alone.
    """

    def __init__(self, directory: Path, replay_directory: Path) -> None:
        self._directory = directory
        self._replay_directory = replay_directory
        self._segments: list[str] = []
        self._end = 0
        self._named: dict[Path, list[str]] = {}  # what each kept checkpoint needs

    def save(self, step: int, payload: Mapping[str, Any], replay: Replay) -> Path:
        """Write the checkpoint of environment step ``step``; raises OSError and leaves the older ones whole."""
        oldest, end = replay.oldest_write, self._end
        segments = [name for name in self._segments if _segment_end(name) >= oldest]
        while True:
            start = end
            arrays, end = replay.dump_segment(start, SEGMENT_SLOTS)
            if end == start:
                break
            name = f"segment-{start:012}-{end:012}.npz"
            _write(self._replay_directory / name, partial(_save_arrays, arrays))
            segments.append(name)
        whole = {
            **payload,
            "format": FORMAT,
            "replay": replay.state(),
            "segments": segments,
            "segments_end": end,
        }
        path = self._directory / f"step-{step:012}.pt"
        _write(path, lambda file: torch.save(whole, file))
        self._segments, self._end = segments, end
        self._named[path] = segments
        self._remove_unneeded()
        return path

    def save_best(self, payload: Mapping[str, Any]) -> None:
        """Write ``best.pt``, which has no replay to resume with; raises OSError and leaves the old one whole."""
        _write(self._directory / BEST, lambda file: torch.save({"format": FORMAT, **payload}, file))

    def best(self) -> tuple[float, int, float]:
        """Return, environment step and success of the evaluation whose weights ``best.pt`` holds; else -inf, 0, 0."""
        path = self._directory / BEST
        if path.exists():
            try:
                payload = read_checkpoint(path)
                return float(payload["eval/return"]), int(payload["env_step"]), float(payload.get("eval/success", 0.0))
            except (UserError, KeyError) as error:
                log.warning("%s; the next evaluation replaces it", error)
        return -math.inf, 0, 0.0

    def remove_best(self) -> None:
        """Remove what a run that never saved a checkpoint left of its best evaluation."""
        (self._directory / BEST).unlink(missing_ok=True)

    def load(self) -> Saved | None:
        """The newest whole checkpoint, or None where there is none at all.

        Raises:
            UserError: checkpoints exist, but none of them can be read.
        """
        paths = sorted(self._directory.glob("step-*.pt"), reverse=True)
        problems = []
        for path in paths:
            try:
                saved = self._read(path)
            except UserError as error:
                problems.append(str(error))
                continue
            if problems:
                log.warning("%s; going on from %s", "; ".join(problems), path.name)
            self._segments = list(saved.payload["segments"])
            self._end = int(saved.payload["segments_end"])
            self._named = {path: self._segments}
            return saved
        if problems:
            raise UserError(f"{'; '.join(problems)}; no older one is left: start anew with another hydra.run.dir")
        return None

    def _read(self, path: Path) -> Saved:
        payload = read_checkpoint(path)
        segments = []
        for name in payload["segments"]:
            try:
                with np.load(self._replay_directory / name, allow_pickle=False) as file:
                    segments.append({key: file[key] for key in file.files})
            except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
                raise UserError(f"checkpoint {path}: its replay segment {name} cannot be read ({error})") from error
        return Saved(path, payload, segments)

    def _remove_unneeded(self) -> None:
        kept = sorted(self._named, reverse=True)[:KEEP]
        self._named = {path: self._named[path] for path in kept}
        needed = {name for names in self._named.values() for name in names}
        for path in (*self._directory.iterdir(), *self._replay_directory.iterdir()):
            if path not in self._named and path.name not in needed and OWN.fullmatch(path.name):
                path.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's payload, read without running code from it.

    Raises:
        UserError: it is truncated, foreign, of another format or holds code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"checkpoint {path}: {damaged} is damaged")
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(f"checkpoint {path}: truncated or not a checkpoint ({_first_line(error)})") from error
    except pickle.UnpicklingError as error:
        raise UserError(f"checkpoint {path}: refused, it holds more than tensors and numbers") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise UserError(f"checkpoint {path}: not of this version's format {FORMAT}")
    return payload


def _write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let ``write`` fill a file aside, flush it to disk, and move it to ``path``."""
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        # torch.save turns the OSError of a full disk into a RuntimeError about file positions.
        hidden = error.__context__ if isinstance(error, RuntimeError) else error
        if isinstance(hidden, OSError) and hidden.filename is None:
            raise OSError(hidden.errno, hidden.strerror, str(path)) from None
        raise


def _save_arrays(arrays: Any, file: BinaryIO) -> None:
    np.savez(file, **arrays)


def _segment_end(name: str) -> int:
    return int(name.rpartition("-")[2].removesuffix(".npz"))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
