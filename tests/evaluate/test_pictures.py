"""The picture and the video of an episode, from a recording made up for them."""

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from td3sweep.envs.carla.state import DriveState
from td3sweep.evaluate.picture import COLLIDED, LEFT_LANE, PATH, SIDE, save_picture
from td3sweep.evaluate.recording import Recording
from td3sweep.evaluate.video import SIZE, frames, save_video


@pytest.fixture
def recording():
    made = Recording()
    route = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
    for moment in range(7):
        image = np.full((4, 84, 84), 30 * moment, np.uint8)
        told = {"position": (10.0 * moment, 1.0), "heading": 0.0, "speed": float(moment)}
        tick = DriveState(
            position=(10.0 * moment, 1.0), lane_invasion=moment == 3, hit="vehicle.audi.tt" if moment == 6 else ""
        )
        action = None if moment == 0 else np.array([0.5, -0.5], np.float32)
        made.note({"image": image}, action, told | ({"route": route} if moment == 0 else {"ticks": [tick]}))
    return made


def count(path, colour, height):
    pixels = np.array(Image.open(path).convert("RGB"))[:height]
    wanted = tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return int((pixels == wanted).all(axis=2).sum())


def test_the_picture_marks_where_the_lane_was_left_and_where_it_collided(tmp_path, recording):
    path = tmp_path / "route.png"
    save_picture(recording, path, ["one", "two"])
    assert Image.open(path).width == SIDE
    assert count(path, PATH, SIDE) > 300  # 60 of 100 m are driven
    marks = count(path, LEFT_LANE, SIDE), count(path, COLLIDED, SIDE)
    assert all(mark > 20 for mark in marks)
    recording.ticks.clear()
    save_picture(recording, path, ["one", "two"])
    assert (count(path, LEFT_LANE, SIDE), count(path, COLLIDED, SIDE)) == (0, 0)


def test_the_video_has_one_frame_a_moment_and_shows_what_the_agent_saw(tmp_path, recording):
    path = tmp_path / "video.mp4"
    save_video(recording, path, "label", 5.0)
    with imageio.get_reader(path) as reader:
        frames = [np.asarray(frame) for frame in reader]
        assert reader.get_meta_data()["fps"] == 5.0
    assert len(frames) == 7
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    shades = [float(frame[100:200, 100:200].mean()) for frame in frames]
    assert shades == pytest.approx([30.0 * moment for moment in range(7)], abs=4.0)


def test_the_video_does_without_a_route(tmp_path, recording):
    recording.places.clear()
    recording.speeds.clear()
    save_video(recording, tmp_path / "video.mp4", "label", 5.0)
    with imageio.get_reader(tmp_path / "video.mp4") as reader:
        assert reader.count_frames() == 7


def test_an_environment_with_one_action_is_filmed_as_well():
    recording, image = Recording(), {"image": np.zeros((4, 84, 84), np.uint8)}
    for action in (None, np.array([0.5], np.float32)):
        recording.note(image, action, {})
    still, moved = frames(recording, "label")
    # By hand: row 363 crosses bars of 152 pixels from 8 and 176 on; .5 fills the third quarter of the first alone.
    filled = (moved[363] == [int(PATH[place : place + 2], 16) for place in (1, 3, 5)]).all(axis=1)
    assert (filled[8 + 77 : 8 + 114].all(), filled[8 + 115 :].any()) == (True, False)
    assert still.shape == moved.shape
