"""The RGB camera: a pinhole over a flat ground, looked up in the map raster, with cars as shaded boxes.

All rays are computed once per height and tilt; a frame only turns and shifts them. Every ground pixel
averages four samples spread along its (long) footprint, each taken at the raster level that matches its
size: lane lines fade with distance instead of flickering.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3sweep.standin.boxes import FAR, Box, View, paint
from td3sweep.standin.geometry import Transform
from td3sweep.standin.raster import LEVELS, TEXEL, Color, Raster, average, average_up

MAX_SIZE = 4096
TAPS = 4
ZENITH: Color = (104, 152, 206)
HAZE: Color = (188, 204, 214)
HAZE_ELEVATION = math.radians(35.0)


@dataclass(frozen=True, slots=True)
class _Rays:
    """What does not change while the camera only drives and turns; x is ahead, yaw taken out."""

    key: tuple[float, float, float]
    raster: Raster
    directions: NDArray[np.float32]  # height x width x 3, depth along the optical axis is 1
    background: NDArray[np.uint32]
    ground: NDArray[np.intp]
    ahead: NDArray[np.float32]  # taps x ground pixels, in texels of the tap's level
    aside: NDArray[np.float32]
    scale: NDArray[np.float32]
    offset: NDArray[np.int32]
    width: NDArray[np.int32]
    last_column: NDArray[np.int32]
    last_row: NDArray[np.int32]


class Camera:
    """A camera of ``width`` x ``height`` pixels and ``fov`` degrees horizontally."""

    def __init__(self, width: int, height: int, fov: float) -> None:
        if not (1 <= width <= MAX_SIZE and 1 <= height <= MAX_SIZE and 0.0 < fov < 180.0):
            raise ValueError(f"no camera of {width} x {height} pixels and {fov} degrees")
        self.width, self.height, self.fov = width, height, fov
        self._focal = 0.5 * width / math.tan(math.radians(0.5 * fov))
        self._rays: _Rays | None = None

    def render(self, pose: Transform, raster: Raster, boxes: Iterable[Box]) -> NDArray[np.uint32]:
        """The picture from ``pose`` as height x width packed BGRA pixels."""
        key = (pose.z, pose.pitch, pose.roll)
        rays = self._rays
        if rays is None or rays.key != key or rays.raster is not raster:
            rays = self._rays = self._cast(pose, raster)
        image = rays.background.copy()
        image[rays.ground] = _look_up(rays, pose)
        picture: NDArray[np.uint32] = image.reshape(self.height, self.width)
        paint(picture, boxes, View(pose, self._focal, rays.directions))
        return picture

    def _directions(self, pose: Transform, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ray directions (rows x width x 3) through image rows, in axes turned by the camera's yaw."""
        forward, right, up = (np.array(axis) for axis in Transform(pitch=pose.pitch, roll=pose.roll).axes())
        across = (np.arange(self.width) + 0.5 - 0.5 * self.width) / self._focal
        upwards = (0.5 * self.height - rows) / self._focal
        rays: NDArray[np.float64] = forward + across[None, :, None] * right + upwards[:, None, None] * up
        return rays

    def _cast(self, pose: Transform, raster: Raster) -> _Rays:
        centers = np.arange(self.height, dtype=np.float64) + 0.5
        directions = self._directions(pose, centers)
        flat = directions.reshape(-1, 3)
        reach = np.full(len(flat), np.inf)
        falling = flat[:, 2] < -1e-9
        if pose.z > 0.0:
            reach[falling] = -pose.z / flat[falling, 2]
        ground = np.flatnonzero(reach * np.hypot(flat[:, 0], flat[:, 1]) < FAR)  # beyond it is haze
        taps = np.stack([self._ground_points(pose, centers + (tap + 0.5) / TAPS - 0.5, ground) for tap in range(TAPS)])
        spread = np.hypot(*(taps.max(axis=0) - taps.min(axis=0)).T) / (TAPS - 1)
        footprint = np.maximum(spread, reach[ground] / self._focal)
        level = np.clip(np.rint(np.log2(np.maximum(footprint / TEXEL, 1e-6))), 0, LEVELS - 1).astype(np.int32)
        scale = 1.0 / (TEXEL * 2.0**level)
        return _Rays(
            key=(pose.z, pose.pitch, pose.roll),
            raster=raster,
            directions=directions.astype(np.float32),
            background=_sky(flat),
            ground=ground,
            ahead=(taps[:, :, 0] * scale).astype(np.float32),
            aside=(taps[:, :, 1] * scale).astype(np.float32),
            scale=scale.astype(np.float32),
            offset=raster.offset[level],
            width=raster.width[level],
            last_column=raster.width[level] - 1,
            last_row=raster.height[level] - 1,
        )

    def _ground_points(
        self, pose: Transform, rows: NDArray[np.float64], ground: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Where the rays of the ``ground`` pixels, taken at shifted rows, meet the ground (pixels x 2)."""
        flat = self._directions(pose, rows).reshape(-1, 3)[ground]
        reach = np.where(flat[:, 2] < -1e-9, -pose.z / np.minimum(flat[:, 2], -1e-9), np.inf)
        reach = np.minimum(reach, FAR / np.hypot(flat[:, 0], flat[:, 1]))
        points: NDArray[np.float64] = flat[:, :2] * reach[:, None]
        return points


def _look_up(rays: _Rays, pose: Transform) -> NDArray[np.uint32]:
    """The ground's colours: taps turned by the yaw, shifted by the position, gathered and averaged."""
    cos = np.float32(math.cos(math.radians(pose.yaw)))
    sin = np.float32(math.sin(math.radians(pose.yaw)))
    raster, scale = rays.raster, rays.scale
    column = (cos * rays.ahead - sin * rays.aside + np.float32(pose.x - raster.origin_x) * scale).astype(np.int32)
    row = (sin * rays.ahead + cos * rays.aside + np.float32(pose.y - raster.origin_y) * scale).astype(np.int32)
    np.maximum(np.minimum(column, rays.last_column, out=column), 0, out=column)
    np.maximum(np.minimum(row, rays.last_row, out=row), 0, out=row)
    row *= rays.width
    row += column
    row += rays.offset
    taps = raster.texels.take(row)
    return average(average_up(taps[0], taps[1]), average_up(taps[2], taps[3]))


def _sky(directions: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Haze at and below the horizon, blue above, for each ray (pixels x 3)."""
    elevation = np.arctan2(directions[:, 2], np.hypot(directions[:, 0], directions[:, 1]))
    height = np.clip(elevation / HAZE_ELEVATION, 0.0, 1.0)[:, None]
    red, green, blue = np.rint(height * ZENITH + (1.0 - height) * HAZE).astype(np.uint32).T
    packed: NDArray[np.uint32] = blue | green << np.uint32(8) | red << np.uint32(16) | np.uint32(255 << 24)
    return packed
