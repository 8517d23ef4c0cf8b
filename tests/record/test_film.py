"""The film strip: frames, the route from above, speed and steering, with or without what an environment tells."""

import numpy as np
from PIL import Image

from td3sweep.record.film import FRAMES, SIDE, FilmStrip


def drive(strip, info):
    for step in range(20):
        frame = np.full((84, 84), 10 * step, np.uint8)
        observation = {"image": np.stack([np.zeros_like(frame)] * 3 + [frame])}
        action = None if step == 0 else np.array([np.sin(step), 0.5], np.float32)
        strip.note(observation, action, info(step))


def test_the_newest_frames_stand_in_order_from_first_to_last(tmp_path):
    strip = FilmStrip("label")
    drive(strip, lambda step: {})
    strip.save(tmp_path / "film.png")
    picture = np.array(Image.open(tmp_path / "film.png").convert("L"))
    shades = [int(picture[SIDE // 2, SIDE * column + SIDE // 2]) for column in range(FRAMES)]
    assert shades[0] == 0
    assert shades[-1] == 190
    assert shades == sorted(shades)


def test_the_driven_path_lies_on_the_route_it_followed(tmp_path):
    strip = FilmStrip("label")
    route = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0]])
    drive(
        strip,
        lambda step: {"position": (5.0 * step, 0.0), "speed": float(step)} | ({"route": route} if not step else {}),
    )
    strip.save(tmp_path / "film.png")
    picture = np.array(Image.open(tmp_path / "film.png"))[SIDE + 5 :, :270]
    path = np.argwhere((picture == (0, 0x72, 0xB2)).all(axis=2))
    assert np.ptp(path[:, 0]) <= 4  # straight along the top
    assert 200 < np.ptp(path[:, 1]) < 250  # 95 of 100 metres on 240 pixels
