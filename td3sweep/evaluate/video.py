"""A video of an episode: what the agent saw, where it was, how fast, and what it did; one frame a moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from td3sweep.evaluate.picture import COLLIDED, INK, LANE, PATH, route_view
from td3sweep.evaluate.recording import Recording

SIDE = 336  # pixels of either view: the agent's frame four times as large
FOOT = 64
SIZE = (2 * SIDE, SIDE + FOOT)  # multiples of 16, as the codec likes them
MARGIN = 16
FASTEST = 15.0  # m/s at the bar's end


def save_video(recording: Recording, path: Path, label: str, fps: float) -> None:
    """Write an mp4 (H.264) at ``fps`` moments a second; ``label`` stands in every frame."""
    writer: Any = imageio.get_writer(path, fps=fps, codec="libx264", macro_block_size=16)
    with writer:
        for frame in frames(recording, label):
            writer.append_data(frame)


def frames(recording: Recording, label: str) -> Iterator[NDArray[np.uint8]]:
    """RGB pictures (400, 672, 3)."""
    places = recording.places
    view = route_view(recording, SIDE, MARGIN) if places else None
    ground = Image.new("RGB", (SIDE, SIDE), "white")
    if view is not None:
        view.draw_route(ImageDraw.Draw(ground), recording.route)
    for moment, seen in enumerate(recording.frames):
        sheet = Image.new("RGB", SIZE, "white")
        sheet.paste(Image.fromarray(seen).resize((SIDE, SIDE), Image.Resampling.NEAREST), (0, 0))
        if view is not None:
            if moment:  # the path grows on the ground, the car does not
                drawn = [place[:2] for place in places[moment - 1 : moment + 1]]
                ImageDraw.Draw(ground).line(view.pixels(drawn), fill=PATH, width=2)
            above = ground.copy()
            view.draw_car(ImageDraw.Draw(above), places[moment], 9)
            sheet.paste(above, (SIDE, 0))
        draw = ImageDraw.Draw(sheet)
        if recording.speeds:
            speed = recording.speeds[moment]
            _bar(draw, SIDE + 8, f"speed {speed:4.1f} m/s", speed / FASTEST, 0.0)
        steer, drive = (float(value) for value in (*recording.actions[moment], 0.0)[:2])  # there may be one alone
        _bar(draw, 8, f"steer {steer:+.2f}", (steer + 1) / 2, 0.5)
        _bar(draw, SIDE // 2 + 8, f"throttle {drive:+.2f}", (drive + 1) / 2, 0.5)
        draw.text((8, SIDE + FOOT - 18), f"{label}; step {moment}", fill=INK)
        yield np.asarray(sheet)


def _bar(draw: ImageDraw.ImageDraw, left: int, text: str, share: float, zero: float) -> None:
    """A labelled bar from ``zero`` to ``share`` of its width."""
    width, top = SIDE // 2 - 16, SIDE + 22
    low, high = sorted((zero, min(max(share, 0.0), 1.0)))
    draw.text((left, SIDE + 6), text, fill=INK)
    draw.rectangle((left, top, left + width, top + 10), fill=LANE)
    draw.rectangle((left + low * width, top, left + high * width, top + 10), fill=PATH)
    draw.line((left + zero * width, top, left + zero * width, top + 10), fill=COLLIDED)
