"""Cars in the picture: shaded boxes, painted from far to near by intersecting the camera's rays with them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3sweep.standin.geometry import Transform, Vector
from td3sweep.standin.raster import Color, pack

FAR = 150.0
"""Metres up to which cars are painted."""

NEAR = 0.05
FACE_SHADE = (0.62, 0.8, 1.0)
"""Brightness of a box's faces across x (ends), y (sides) and z (roof)."""

WINDOW_BAND = (0.15, 0.8)
WINDOW: Color = (36, 42, 50)
_CORNERS = tuple((a, b, c) for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0))


@dataclass(frozen=True, slots=True)
class Box:
    """A car to paint: centre of its bottom in metres, yaw in degrees, half sizes."""

    x: float
    y: float
    z: float
    yaw: float
    extent: Vector
    color: Color

    def covers(self, x: float, y: float) -> bool:
        """Whether a point lies inside the box seen from above."""
        cos, sin = _direction(self.yaw)
        dx, dy = x - self.x, y - self.y
        return abs(dx * cos + dy * sin) <= self.extent[0] and abs(dy * cos - dx * sin) <= self.extent[1]


@dataclass(frozen=True, slots=True)
class View:
    """A camera's place and rays. ``directions`` (height x width x 3) have the yaw taken out, depth 1."""

    pose: Transform
    focal: float
    directions: NDArray[np.float32]


def paint(picture: NDArray[np.uint32], boxes: Iterable[Box], view: View) -> None:
    """Paint into a picture of packed pixels; the box the camera sits on is left out."""
    pose = view.pose
    near = [(math.hypot(box.x - pose.x, box.y - pose.y), box) for box in boxes]
    near = [(distance, box) for distance, box in near if distance < FAR and not box.covers(pose.x, pose.y)]
    if not near:
        return
    axes = Transform(pitch=pose.pitch, roll=pose.roll).axes()
    for _, box in sorted(near, key=lambda item: -item[0]):
        _paint_one(picture, box, view, axes)


def _paint_one(picture: NDArray[np.uint32], box: Box, view: View, axes: tuple[Vector, Vector, Vector]) -> None:
    pose = view.pose
    cos, sin = _direction(pose.yaw)
    dx, dy = box.x - pose.x, box.y - pose.y
    center = (dx * cos + dy * sin, dy * cos - dx * sin, box.z + box.extent[2] - pose.z)
    turn = _direction(box.yaw - pose.yaw)
    height, width = picture.shape
    window = _screen_rectangle(center, turn, box.extent, axes, (view.focal, width, height))
    if window is None:
        return
    entry, leave, local_z = _crossings(view.directions[window], center, turn, box.extent)
    near = np.maximum(np.maximum(entry[0], entry[1]), entry[2])
    hit = (near < np.minimum(np.minimum(leave[0], leave[1]), leave[2])) & (near > 0.0)
    if not hit.any():
        return
    shades = np.array([pack(_shaded(box.color, shade)) for shade in FACE_SHADE], np.uint32)
    face = np.where(near == entry[2], 2, np.where(near == entry[1], 1, 0))[hit]
    pixels = shades[face]
    level = (near * local_z - center[2])[hit] / box.extent[2]
    pixels[(face < 2) & (level > WINDOW_BAND[0]) & (level < WINDOW_BAND[1])] = pack(WINDOW)
    picture[window][hit] = pixels


def _crossings(
    rays: NDArray[np.float32], center: Vector, turn: tuple[float, float], extent: Vector
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]], NDArray[np.float32]]:
    """Depths at which rays enter and leave the box's three slabs, and the rays' vertical part."""
    cos, sin = turn
    x, y, z = rays[..., 0], rays[..., 1], rays[..., 2]
    local = (x * np.float32(cos) + y * np.float32(sin), y * np.float32(cos) - x * np.float32(sin), z)
    origin = (-(center[0] * cos + center[1] * sin), -(center[1] * cos - center[0] * sin), -center[2])
    entry, leave = [], []
    with np.errstate(divide="ignore", invalid="ignore"):
        for along, start, half in zip(local, origin, extent, strict=True):
            one, other = np.float32(-half - start) / along, np.float32(half - start) / along
            entry.append(np.minimum(one, other))
            leave.append(np.maximum(one, other))
    return entry, leave, z


def _screen_rectangle(
    center: Vector,
    turn: tuple[float, float],
    extent: Vector,
    axes: tuple[Vector, Vector, Vector],
    screen: tuple[float, int, int],
) -> tuple[slice, slice] | None:
    """Rows and columns that the box may cover, None where it is out of sight; ``screen`` is focal, width, height."""
    (cos, sin), (focal, width, height) = turn, screen
    columns, rows, behind = [], [], 0
    for a, b, c in _CORNERS:
        x, y = a * extent[0], b * extent[1]
        point = (center[0] + x * cos - y * sin, center[1] + x * sin + y * cos, center[2] + c * extent[2])
        depth, across, upwards = (axis[0] * point[0] + axis[1] * point[1] + axis[2] * point[2] for axis in axes)
        if depth <= NEAR:
            behind += 1
        else:
            columns.append(0.5 * width + focal * across / depth)
            rows.append(0.5 * height - focal * upwards / depth)
    if behind == len(_CORNERS):
        return None
    if behind:
        return slice(0, height), slice(0, width)
    top, bottom = max(0, math.floor(min(rows))), min(height, math.ceil(max(rows)))
    left, right = max(0, math.floor(min(columns))), min(width, math.ceil(max(columns)))
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _direction(degrees: float) -> tuple[float, float]:
    """Cosine and sine."""
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def _shaded(color: Color, shade: float) -> Color:
    red, green, blue = (round(channel * shade) for channel in color)
    return red, green, blue
