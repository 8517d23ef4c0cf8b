"""The evaluation protocol: the same seeds for every driver, each episode measured, drawn and filmed."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from td3sweep.assemble.environment import build_env
from td3sweep.collect.drivers import AutopilotDriver, Driver
from td3sweep.collect.evaluation import FIRST_SEED, RECORD_SEED, EpisodeOutcome, drive
from td3sweep.config.env_settings import CarlaSettings
from td3sweep.config.settings import Settings
from td3sweep.envs.protocol import Env
from td3sweep.errors import SimulatorError
from td3sweep.evaluate.metrics import SCORE_COVERS, measure, totals
from td3sweep.evaluate.picture import save_picture
from td3sweep.evaluate.recording import Recording
from td3sweep.evaluate.taping import Shelf, Taping
from td3sweep.files import write_atomically
from td3sweep.record.console import simulator
from td3sweep.record.provenance import software

log = logging.getLogger(__name__)

TRIES = 3  # of an episode, when the simulator fails
INTERVALS = "95 %: Wilson for success, bootstrap over episodes for means, the wider of Poisson and bootstrap for rates"
WRITTEN = ("evaluation.json", "explain.png", "video-*.mp4", "route-*.png")


def run_protocol(
    settings: Settings,
    driver: Driver,
    out: Path,
    *,
    episodes: int,
    video: bool,
    about: Mapping[str, Any],
    record: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Drive ``episodes`` episodes and write ``out``: evaluation.json, and a picture and a video of each.

    Args:
        settings: what is driven, and on what.
        driver: who drives.
        out: directory; an earlier evaluation there is replaced.
        episodes: how many, on the seeds from ``FIRST_SEED``, or from ``RECORD_SEED`` where they are recorded.
        video: whether to film.
        about: what the result should say of the driver: ``policy``, ``checkpoint``, ``env_step``.
        record: directory, new or empty, where every episode is kept as a demonstration; None: nowhere.
        tell: told of each episode in one line.

    Returns:
        What evaluation.json holds.

    Raises:
        SimulatorError: an episode failed three times.
        UserError: the driver cannot drive here, or something else is in ``record``.
    """
    shelf = None if record is None else Shelf(record, settings, about)
    out.mkdir(parents=True, exist_ok=True)
    for pattern in WRITTEN:
        for old in out.glob(pattern):
            old.unlink()
    label = simulator(settings)
    env = build_env(settings, out, detail=True, autopilot=isinstance(driver, AutopilotDriver))
    taping = None if shelf is None else Taping(env)
    measured, faults = [], 0
    try:
        for number in range(episodes):
            seed = (FIRST_SEED if shelf is None else RECORD_SEED) + number
            outcome, recording, failed = _drive(taping or env, driver, seed)
            faults += failed
            if shelf is not None and taping is not None:
                shelf.add(seed, taping.tape(), outcome)
            episode = {"episode": number, "seed": seed, **measure(outcome, recording.ticks)}
            if "cars_spawned" in outcome.info:
                episode |= {key: outcome.info[key] for key in ("cars_asked", "cars_spawned")}
            measured.append(episode)
            line = _line(episode)
            tell(f"episode {number + 1} of {episodes}: {line}")
            if recording.places:
                save_picture(
                    recording, out / f"route-{number:02}.png", [label, f"{about['policy']}, seed {seed}", line]
                )
            if video:
                from td3sweep.evaluate.video import save_video

                save_video(recording, out / f"video-{number:02}.mp4", label, _rate(env, settings))
        version = getattr(env, "server_version", "")
    finally:
        env.close()
    result = {
        **about,
        "simulator": label,
        "standin": isinstance(settings.env, CarlaSettings) and settings.env.server == "standin",
        "server_version": version,
        "deterministic_policy": True,
        "episodes": measured,
        "totals": {key: dataclasses.asdict(value) for key, value in totals(measured).items()},
        "interval": INTERVALS,
        "driving_score": SCORE_COVERS,
        "faults": faults,
        "made": {"at": datetime.now(timezone.utc).isoformat(), **software()},
        "settings": dataclasses.asdict(settings),
    }
    write(result, out)
    if shelf is not None:
        tell(shelf.line)
    return result


def write(result: Mapping[str, Any], out: Path) -> None:
    """Write ``out``/evaluation.json."""
    write_atomically(out / "evaluation.json", as_json(result) + "\n")


def as_json(result: Mapping[str, Any]) -> str:
    """The result as one JSON object; what is not a number becomes null."""
    return json.dumps(_without_nan(result), indent=2, allow_nan=False)


def _drive(env: Env, driver: Driver, seed: int) -> tuple[EpisodeOutcome, Recording, int]:
    """One whole episode, from its seed again after a simulator fault, and how many faults there were."""
    for attempt in range(TRIES):
        recording = Recording()
        try:
            outcome = drive(env, driver, seed, observer=recording.note)
        except SimulatorError as error:
            if attempt == TRIES - 1:
                raise
            log.warning("seed %d: %s; driven again", seed, error)
            continue
        assert outcome is not None  # nobody interrupts it
        return outcome, recording, attempt
    raise AssertionError("unreachable")


def _line(episode: Mapping[str, Any]) -> str:
    parts = [episode["end"] or ("success" if episode["success"] else "ended"), f"return {episode['return']:.1f}"]
    if "route_completion" in episode:
        parts += [f"{100 * episode['route_completion']:.0f} % of {episode['route_length']:.0f} m"]
        parts += [f"{episode['speed']:.1f} m/s", f"{episode['collisions']} collisions"]
        parts += [f"left its lane {episode['lane_departures']} times"]
    return ", ".join(parts)


def _rate(env: Env, settings: Settings) -> float:
    """Agent steps a simulated second."""
    return float(getattr(env, "metadata", {}).get("render_fps", 20)) / settings.env.action_repeat


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
