"""A camera frame that carries its own number and place in its pixels: a test can tell it from all others.

Four rows of 32 black or white pixels at the picture's upper left: the server's frame number, then x, y (m) and yaw
(degrees) of the camera as single-precision numbers, each with its highest bit first. Black and white stay what they are
when the picture is made gray; the picture must not be resized.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.standin.wire import StreamMessage

ROWS, BITS = 4, 32
_WORDS = struct.Struct(">I3f")
_SIZE = struct.Struct("<II")  # the last twelve bytes of a camera's header begin with width and height
_SIZE_OFFSET = 48
_WHITE, _BLACK = 0xFFFFFFFF, 0xFF000000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a stamped picture says of itself: frame number, camera's place in metres, its yaw in degrees."""

    frame: int
    x: float
    y: float
    yaw: float


def stamped(message: StreamMessage) -> StreamMessage:
    """A camera's message with the stamp in its pixels; raises ValueError where the picture is too small for it."""
    width, height = _SIZE.unpack_from(message.header, _SIZE_OFFSET)
    if width < BITS or height < ROWS:
        raise ValueError(f"a picture of {width} x {height} has no room for a stamp")
    (frame,) = struct.unpack_from("<Q", message.header, 8)
    x, y, _, _, yaw, _ = struct.unpack_from("<6f", message.header, 24)
    bits = np.unpackbits(np.frombuffer(_WORDS.pack(frame & 0xFFFFFFFF, x, y, yaw), np.uint8)).reshape(ROWS, BITS)
    pixels = np.frombuffer(message.body, np.uint32).reshape(height, width).copy()
    pixels[:ROWS, :BITS] = np.where(bits, np.uint32(_WHITE), np.uint32(_BLACK))
    return StreamMessage(message.stream_id, message.sensor, message.header, pixels.tobytes())


def read_stamp(gray: NDArray[Any]) -> Stamp:
    """The stamp of a gray picture, uint8 (height, width); raises ValueError where there is none."""
    marks = np.asarray(gray)[:ROWS, :BITS]
    if not np.isin(marks, (0, 255)).all():
        raise ValueError("the picture bears no stamp")
    return Stamp(*_WORDS.unpack(np.packbits(marks == 255).tobytes()))
