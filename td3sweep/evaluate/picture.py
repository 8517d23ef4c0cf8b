"""A route from above: the lane asked for, the path driven, and where it went wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from td3sweep.evaluate.recording import Recording

SIDE = 640  # pixels
MARGIN = 24
LANE, CENTRE, PATH, INK = "#dedede", "#a0a0a0", "#0072b2", "#222222"  # told apart by the colour-blind as well
LEFT_LANE, COLLIDED = "#e69f00", "#d55e00"
LANE_WIDTH = 3.5  # m, as drawn
BAR = 50  # m


class TopView:
    """Maps metres of the world to pixels of a square, and draws the route there. CARLA's y points right of x."""

    def __init__(self, side: int, points: ArrayLike, margin: int) -> None:
        xy = np.asarray(points, float)
        low, high = xy.min(axis=0), xy.max(axis=0)
        self.scale = (side - 2 * margin) / max(float((high - low).max()), 10.0)
        self._origin = (low + high) / 2 - side / 2 / self.scale

    def pixels(self, points: ArrayLike) -> list[tuple[float, float]]:
        """(n, 2) metres to pixels."""
        placed: NDArray[np.float64] = (np.asarray(points, float).reshape(-1, 2) - self._origin) * self.scale
        return [(float(x), float(y)) for x, y in placed]

    def draw_route(self, draw: ImageDraw.ImageDraw, route: ArrayLike | None) -> None:
        """The lane and its centre line."""
        if route is not None:
            line = self.pixels(route)
            draw.line(line, fill=LANE, width=max(int(LANE_WIDTH * self.scale), 3), joint="curve")
            draw.line(line, fill=CENTRE, width=1)

    def draw_car(self, draw: ImageDraw.ImageDraw, place: tuple[float, float, float], size: float) -> None:
        """A triangle, ``size`` pixels long, that points where the car does."""
        ((x, y),) = self.pixels(place[:2])
        corners = [(size, 0.0), (-size / 2, size / 2), (-size / 2, -size / 2)]
        cos, sin = math.cos(place[2]), math.sin(place[2])
        draw.polygon([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners], fill=COLLIDED)


def route_view(recording: Recording, side: int, margin: int) -> TopView:
    """A view that holds the route and the path."""
    path = np.array([place[:2] for place in recording.places])
    return TopView(side, path if recording.route is None else np.concatenate([recording.route, path]), margin)


def save_picture(recording: Recording, path: Path, lines: Sequence[str]) -> None:
    """Write the picture of an episode with ``lines`` of text below."""
    sheet = Image.new("RGB", (SIDE, SIDE + 16 * (len(lines) + 1) + 8), "white")
    draw = ImageDraw.Draw(sheet)
    view = route_view(recording, SIDE, MARGIN)
    view.draw_route(draw, recording.route)
    if recording.route is not None:
        _disc(draw, view.pixels(recording.route[-1])[0], 7, None, INK)
    draw.line(view.pixels([place[:2] for place in recording.places]), fill=PATH, width=2)
    _disc(draw, view.pixels(recording.places[0][:2])[0], 5, PATH, PATH)
    for tick in recording.ticks:
        (at,) = view.pixels(tick.position)
        if tick.hit:
            _cross(draw, at, 8)
        elif tick.lane_invasion:
            _disc(draw, at, 4, LEFT_LANE, INK)
    length = BAR * view.scale
    draw.line([(MARGIN, SIDE - 10), (MARGIN + length, SIDE - 10)], fill=INK, width=2)
    draw.text((MARGIN + length + 6, SIDE - 16), f"{BAR} m", fill=INK)
    legend = (("start", PATH), ("left the lane", LEFT_LANE), ("collided", COLLIDED))
    x = 10.0
    for text, colour in legend:
        _disc(draw, (x + 4, SIDE + 10), 4, colour, INK)
        draw.text((x + 12, SIDE + 4), text, fill=INK)
        x += 30 + draw.textlength(text)
    draw.text((x, SIDE + 4), "circle: the route's end", fill=INK)
    for row, line in enumerate(lines, start=1):
        draw.text((10, SIDE + 4 + 16 * row), line, fill=INK)
    sheet.save(path)


def _disc(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float, fill: str | None, outline: str) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline)


def _cross(draw: ImageDraw.ImageDraw, at: tuple[float, float], size: float) -> None:
    x, y = at
    draw.line((x - size, y - size, x + size, y + size), fill=COLLIDED, width=4)
    draw.line((x - size, y + size, x + size, y - size), fill=COLLIDED, width=4)
