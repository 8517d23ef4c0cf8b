"""A film strip of one episode: what the agent saw, where it drove, how fast, and how it steered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

FRAMES = 8
SIDE = 120  # pixels of a frame
PLOT = 250  # pixels of the plots' height
WIDTH = FRAMES * SIDE
INK, ROUTE, PATH, GUIDE = "#222222", "#b8b8b8", "#0072b2", "#dddddd"  # told apart by the colour-blind as well
MARK = "#d55e00"


class FilmStrip:
    """Collects one episode, one call an agent step, and draws it."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._frames: list[NDArray[np.uint8]] = []
        self._steer: list[float] = []
        self._speed: list[float] = []
        self._path: list[tuple[float, float]] = []
        self._route: NDArray[np.float64] | None = None

    def note(self, observation: dict[str, NDArray[Any]], action: NDArray[np.float32] | None, info: Any) -> None:
        """One moment: the observation, the action that led to it (None at the start) and the environment's info."""
        self._frames.append(observation["image"][-1].copy())
        self._steer.append(0.0 if action is None else float(action[0]))
        if "speed" in info:
            self._speed.append(float(info["speed"]))
        if "position" in info:
            self._path.append(info["position"])
        if "route" in info:
            self._route = np.asarray(info["route"])

    def save(self, path: Path) -> None:
        """Draw the strip: frames on top; below them route, speed and steer, where the environment tells."""
        sheet = Image.new("RGB", (WIDTH, SIDE + PLOT + 20), "white")
        draw = ImageDraw.Draw(sheet)
        transitions = np.linspace(0, len(self._frames) - 1, FRAMES).round().astype(int)
        for column, transition in enumerate(transitions):
            frame = Image.fromarray(self._frames[transition]).resize((SIDE - 4, SIDE - 4))
            sheet.paste(frame, (column * SIDE + 2, 2))
        left = 0
        if self._path:
            left = PLOT + 20
            self._draw_route(draw, (10, SIDE + 10, PLOT, SIDE + PLOT), transitions)
        half = PLOT // 2
        if self._speed:
            _curve(
                draw,
                (left + 10, SIDE + 10, WIDTH - 10, SIDE + half),
                self._speed,
                bottom=0.0,
                title="speed, m/s",
                transitions=transitions,
            )
        box = (left + 10, SIDE + half + 10, WIDTH - 10, SIDE + PLOT)
        _curve(draw, box, self._steer, bottom=-1.0, title="steer, right is up", transitions=transitions, top=1.0)
        draw.text((10, SIDE + PLOT + 4), self._label, fill=INK)
        sheet.save(path)

    def _draw_route(self, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], transitions: NDArray[Any]) -> None:
        path = np.array(self._path)
        points = path if self._route is None else np.concatenate([self._route, path])
        low, size = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1.0)
        scale = (box[2] - box[0]) / size

        def place(xy: NDArray[np.float64]) -> list[tuple[float, float]]:
            return [(box[0] + float(x), box[1] + float(y)) for x, y in (xy - low) * scale]

        if self._route is not None:
            draw.line(place(self._route), fill=ROUTE, width=5)
        draw.line(place(path), fill=PATH, width=2)
        for x, y in place(path[transitions]):
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=MARK)


def _curve(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    values: list[float],
    *,
    bottom: float,
    title: str,
    transitions: NDArray[Any],
    top: float | None = None,
) -> None:
    highest = max(*values, 1.0) if top is None else top
    xs = np.linspace(box[0], box[2], len(values))
    ys = box[3] - (np.array(values) - bottom) / (highest - bottom) * (box[3] - box[1])
    for transition in transitions:
        draw.line((xs[transition], box[1], xs[transition], box[3]), fill=GUIDE)
    if bottom < 0.0 < highest:
        draw.line((box[0], (box[1] + box[3]) / 2, box[2], (box[1] + box[3]) / 2), fill=GUIDE)
    draw.rectangle(box, outline=ROUTE)
    draw.line([(float(x), float(y)) for x, y in zip(xs, ys, strict=True)], fill=PATH, width=2)
    draw.text((box[0] + 4, box[1] + 2), f"{title} (top {highest:.3g})", fill=INK)
