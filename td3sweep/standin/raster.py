"""A road map as an area-averaged picture from above, with coarser levels for what is far away.

Texels are packed BGRA in one flat uint32 array, so that a camera gathers any level with a single ``take``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3sweep.standin.opendrive import MARK_WIDTH, Mark, Primitive, Road, RoadMap

TEXEL = 0.1
"""Metres per texel at the finest level; a lane line is 1.5 texels wide and its borders are blended."""

LEVELS = 8
MARGIN = 25.0
SHOULDER = 0.4
DASH_LENGTH, DASH_PERIOD = 3.0, 9.0
PIECE_LENGTH = 12.0
PROFILE_STEP = 0.01

Color = tuple[int, int, int]
GRASS: Color = (96, 138, 72)
ASPHALT: Color = (72, 72, 75)
PAINT: dict[str, Color] = {"standard": (232, 232, 232), "white": (232, 232, 232), "yellow": (226, 184, 58)}


@dataclass(frozen=True, slots=True)
class Raster:
    """``texels[offset[l] + row * width[l] + column]`` is level l's texel; level l halves level l-1.

    Row and column grow with CARLA's y and x from (``origin_y``, ``origin_x``).
    """

    texels: NDArray[np.uint32]
    origin_x: float
    origin_y: float
    offset: NDArray[np.int32]
    width: NDArray[np.int32]
    height: NDArray[np.int32]


def pack(color: Color) -> int:
    """A colour (red, green, blue) as one opaque BGRA texel."""
    red, green, blue = color
    return blue | green << 8 | red << 16 | 255 << 24


def average(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mean of packed colours, channel by channel, rounded down."""
    mean: NDArray[np.uint32] = (first & second) + (((first ^ second) >> np.uint32(1)) & np.uint32(0x7F7F7F7F))
    return mean


def average_up(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Mean of packed colours, channel by channel, rounded up: the other half of an unbiased pair."""
    mean: NDArray[np.uint32] = (first | second) - (((first ^ second) >> np.uint32(1)) & np.uint32(0x7F7F7F7F))
    return mean


def rasterize(road_map: RoadMap) -> Raster:
    """Draw the map at the finest level and average it down."""
    half = max(_half_width(road) for road in road_map.roads)
    pieces = [(road, piece, s) for road in road_map.roads for piece, s in _pieces(road)]
    ends = np.array([piece.at(piece.length)[:2] for _, piece, _ in pieces]) * (1.0, -1.0)
    low, high = ends.min(axis=0) - half - MARGIN, ends.max(axis=0) + half + MARGIN
    tile = 1 << (LEVELS - 1)
    columns, rows = (math.ceil((high[axis] - low[axis]) / TEXEL / tile) * tile for axis in (0, 1))
    picture = np.full((rows, columns), pack(GRASS), np.uint32)
    profiles = {road.road_id: _profiles(road) for road in road_map.roads}
    for road, piece, s in pieces:
        _draw_piece(
            picture,
            (float(low[0]), float(low[1])),
            piece,
            s=s,
            half=_half_width(road),
            profiles=profiles[road.road_id],
        )
    return _levels(picture, float(low[0]), float(low[1]))


def _half_width(road: Road) -> float:
    return max(sum(lane.width for lane in side) for side in (road.left, road.right)) + SHOULDER


def _pieces(road: Road) -> list[tuple[Primitive, float]]:
    """The reference line in short pieces with their s: short pieces have small bounding boxes."""
    pieces, s = [], 0.0
    for primitive in road.primitives:
        count = math.ceil(primitive.length / PIECE_LENGTH)
        length = primitive.length / count
        for index in range(count):
            x, y, heading = primitive.at(index * length)
            pieces.append((Primitive(x, y, heading, length, primitive.curvature), s + index * length))
        s += primitive.length
    return pieces


def _profiles(road: Road) -> NDArray[np.uint32]:
    """Packed colours over t (``PROFILE_STEP`` apart, left is positive): row 0 off the dashes, row 1 on."""
    half = math.ceil((_half_width(road) + TEXEL) / PROFILE_STEP)
    t = np.arange(-half, half + 1, dtype=np.float64) * PROFILE_STEP
    left = sum(lane.width for lane in road.left) + SHOULDER
    right = sum(lane.width for lane in road.right) + SHOULDER
    asphalt = _coverage(t, 0.5 * (left - right), left + right)
    rows = []
    for dash in (False, True):
        color = asphalt[:, None] * ASPHALT + (1.0 - asphalt[:, None]) * GRASS
        for position, mark in _marks(road):
            if mark.kind == "solid" or (mark.kind == "broken" and dash):
                paint = _coverage(t, position, MARK_WIDTH)[:, None]
                color = paint * PAINT.get(mark.color, PAINT["standard"]) + (1.0 - paint) * color
        red, green, blue = np.rint(color).astype(np.uint32).T
        rows.append(blue | green << np.uint32(8) | red << np.uint32(16) | np.uint32(255 << 24))
    return np.stack(rows)


def _marks(road: Road) -> list[tuple[float, Mark]]:
    """Every mark with its t."""
    marks = [(0.0, road.center_mark)]
    for sign, side in ((1.0, road.left), (-1.0, road.right)):
        t = 0.0
        for lane in side:
            t += sign * lane.width
            marks.append((t, lane.mark))
    return marks


def _coverage(t: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """Share of a texel-wide window around each t that a stripe covers."""
    low = np.maximum(t - 0.5 * TEXEL, center - 0.5 * width)
    high = np.minimum(t + 0.5 * TEXEL, center + 0.5 * width)
    return np.clip((high - low) / TEXEL, 0.0, 1.0)


def _draw_piece(
    picture: NDArray[np.uint32],
    origin: tuple[float, float],
    piece: Primitive,
    *,
    s: float,
    half: float,
    profiles: NDArray[np.uint32],
) -> None:
    ends = np.array([piece.at(share * piece.length)[:2] for share in (0.0, 0.5, 1.0)]) * (1.0, -1.0)
    low = np.maximum(((ends.min(axis=0) - half - 1.0 - origin) / TEXEL).astype(int), 0)
    high = ((ends.max(axis=0) + half + 1.0 - origin) / TEXEL).astype(int)
    x = (np.arange(low[0], high[0]) + 0.5) * TEXEL + origin[0]
    y = -((np.arange(low[1], high[1]) + 0.5) * TEXEL + origin[1])[:, None]
    forward, left = _ahead_and_left(piece, x, y)
    if piece.curvature == 0.0:
        rows, columns = np.nonzero((np.abs(left) < half) & (forward >= 0.0) & (forward <= piece.length))
        along, across = forward[rows, columns], left[rows, columns]
    else:
        radius, side = abs(1.0 / piece.curvature), math.copysign(1.0, piece.curvature)
        inward = radius - side * left
        square = forward * forward + inward * inward
        rows, columns = np.nonzero((square > max(0.0, radius - half) ** 2) & (square < (radius + half) ** 2))
        along = radius * np.arctan2(forward[rows, columns], inward[rows, columns])
        across = side * (radius - np.sqrt(square[rows, columns]))
        inside = (along >= 0.0) & (along <= piece.length)
        rows, columns, along, across = rows[inside], columns[inside], along[inside], across[inside]
    phase = np.mod(s + along, DASH_PERIOD)
    center = (profiles.shape[1] - 1) / 2.0
    t = np.rint(across / PROFILE_STEP + center).astype(np.int32)
    picture[rows + low[1], columns + low[0]] = profiles[(phase < DASH_LENGTH).astype(np.int8), t]


def _ahead_and_left(
    piece: Primitive, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points in OpenDRIVE axes, as seen from the start of the piece along its heading."""
    dx, dy = x - piece.x, y - piece.y
    cos, sin = math.cos(piece.heading), math.sin(piece.heading)
    return dx * cos + dy * sin, dy * cos - dx * sin


def _levels(picture: NDArray[np.uint32], origin_x: float, origin_y: float) -> Raster:
    levels = [picture]
    for _ in range(LEVELS - 1):
        fine = levels[-1]
        rows = average(fine[0::2], fine[1::2])
        levels.append(average_up(rows[:, 0::2], rows[:, 1::2]))
    sizes = np.array([level.size for level in levels], np.int32)
    return Raster(
        texels=np.concatenate([level.ravel() for level in levels]),
        origin_x=origin_x,
        origin_y=origin_y,
        offset=(np.cumsum(sizes) - sizes).astype(np.int32),
        width=np.array([level.shape[1] for level in levels], np.int32),
        height=np.array([level.shape[0] for level in levels], np.int32),
    )
