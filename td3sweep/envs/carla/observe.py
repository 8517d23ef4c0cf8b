"""Observations: four gray 84 x 84 camera frames, and the vector of speed, place and way-points."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from td3sweep.envs.carla.route import Place, Pose, Route
from td3sweep.envs.protocol import FRAME_SIZE, STACK
from td3sweep.errors import UserError
from td3sweep.names import VectorKind

WAYPOINTS = 25
VECTOR_SIZES = {"full": 3 + 3 * WAYPOINTS, "no_waypoints": 3, "speed": 1}

SPEED_SCALE = 3.0  # m/s
FASTEST = 6.0  # of them are told apart
LATERAL_SCALE = 3.5  # m
WAYPOINT_SCALE = 50.0  # m
DRAWN_STRETCHES = 64  # lengths of dark stretches drawn for an episode; a longer one repeats them

Frame = NDArray[np.uint8]


def bgra_pixels(image: Any) -> Frame:
    """The pixels of a `carla.Image`, (height, width, 4) BGRA, without a copy."""
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)


def gray(pixels: Frame, blue_first: bool = False) -> Frame:
    """Luma of (height, width, 3 or 4) pixels by ITU-R BT.601, in integers: the same on every machine."""
    red, blue = (2, 0) if blue_first else (0, 2)
    wide = pixels.astype(np.uint32)
    return ((77 * wide[..., red] + 150 * wide[..., 1] + 29 * wide[..., blue]) >> 8).astype(np.uint8)


def shrink(frame: Frame) -> Frame:
    """Resize a gray frame to 84 x 84 by averaging areas; one of that size passes unchanged."""
    if frame.shape == (FRAME_SIZE, FRAME_SIZE):
        return frame
    resized = Image.fromarray(frame).resize((FRAME_SIZE, FRAME_SIZE), Image.Resampling.BOX)
    return np.asarray(resized, np.uint8)


def camera_frame(image: Any) -> Frame:
    """What the agent sees of a `carla.Image`: gray, 84 x 84."""
    return shrink(gray(bgra_pixels(image), blue_first=True))


class Shutter:
    """Blackens the camera over stretches of the route: what lies there must be remembered, or is not known.

    Args:
        dark: metres from the end of one dark stretch to the end of the next, and metres of it that are dark: equal,
            all are; empty, none is. With a third number a stretch's length is drawn, from the second to the third.

    Raises:
        UserError: there is no such stretch.
    """

    def __init__(self, dark: Sequence[float]) -> None:
        if dark and not (len(dark) in (2, 3) and 0.0 < dark[1] <= dark[-1] <= dark[0]):
            raise UserError(
                f"env.dark={list(dark)}: give [EVERY,LENGTH] or [EVERY,SHORTEST,LONGEST] in metres, "
                "each length above 0, in that order, and at most EVERY"
            )
        self._every, self._shortest, self._longest = (dark[0], dark[1], dark[-1]) if dark else (1.0, 0.0, 0.0)
        self._offset = 0.0
        self._lengths: NDArray[np.float64] = np.array([self._shortest])

    def begin(self, rng: np.random.Generator) -> None:
        """Draw where the first stretch begins, after half a lit one unless all is dark, and how long each is."""
        if self._longest > 0.0:
            self._offset = rng.uniform(0.0, (self._every - self._longest) / 2.0)
        if self._shortest < self._longest:
            self._lengths = rng.uniform(self._shortest, self._longest, DRAWN_STRETCHES)

    def __call__(self, frame: Frame, distance: float) -> Frame:
        """The frame as seen `distance` metres along the route."""
        stretch, place = divmod(distance + self._offset, self._every)
        dark = place >= self._every - self._lengths[int(stretch) % len(self._lengths)]
        return np.zeros_like(frame) if dark else frame


class FrameStack:
    """The last `size` frames, oldest first; at the start of an episode the first frame as many times."""

    def __init__(self, size: int = STACK) -> None:
        self._size = size
        self._frames: deque[Frame] = deque(maxlen=size)

    def restart(self, frame: Frame) -> None:
        """Begin an episode with its first frame."""
        self._frames.extend([frame] * self._size)

    def push(self, frame: Frame) -> None:
        """Add the newest frame and forget the oldest."""
        self._frames.append(frame)

    def array(self) -> Frame:
        """A fresh array (size, 84, 84)."""
        return np.stack(self._frames)


def vector_size(kind: str) -> int:
    """Length of the vector observation.

    Raises:
        UserError: there is no such vector.
    """
    if kind not in VECTOR_SIZES:
        raise UserError(f"env.vector={kind}: choose from {', '.join(VECTOR_SIZES)}")
    return VECTOR_SIZES[kind]


def drive_vector(
    kind: VectorKind, speed: float, pose: Pose, place: Place, route: Route, *, speed_scale: float = SPEED_SCALE
) -> NDArray[np.float32]:
    """The vector observation: the speed clipped to [-6, 6], every other number to [-1, 1].

    `speed` is [speed / `speed_scale`], the latter in m/s; `no_waypoints` adds lateral offset / 3.5 m (positive right)
    and heading error / pi; `full` adds 25 way-points, 2 m apart, as (forward / 50 m, right / 50 m, valid): past the
    route's end all three are 0.
    """
    values = np.empty(vector_size(kind))
    if kind != "speed":
        values[1] = place.lateral / LATERAL_SCALE
        values[2] = place.heading_error / np.pi
    if kind == "full":
        ahead = route.ahead(place.distance, pose, WAYPOINTS)
        ahead[:, :2] /= WAYPOINT_SCALE
        values[3:] = ahead.ravel()
    values = np.clip(values, -1.0, 1.0)
    values[0] = np.clip(speed / speed_scale, -FASTEST, FASTEST)
    return values.astype(np.float32)
