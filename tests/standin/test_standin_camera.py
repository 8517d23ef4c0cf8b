"""The camera: a pinhole whose pixels can be worked out by hand on a straight road."""

from __future__ import annotations

import math

import numpy as np
import pytest

from td3sweep.standin import maps
from td3sweep.standin.boxes import Box
from td3sweep.standin.camera import ZENITH, Camera
from td3sweep.standin.geometry import Transform, compose
from td3sweep.standin.opendrive import Lane, Mark, Primitive, Road, RoadMap
from td3sweep.standin.raster import ASPHALT, GRASS, PAINT, TEXEL, average, average_up, pack, rasterize


def straight_map(center: str = "solid") -> RoadMap:
    """400 m along x through the origin, one lane each way."""
    lane = Lane(3.5, Mark("solid", "white"))
    line = Primitive(-200.0, 0.0, 0.0, 400.0, 0.0)
    road = Road(1, (line,), Mark(center, "yellow"), (lane,), (lane,), 1, 1)
    return RoadMap("straight", (road,), 30.0, "")


@pytest.fixture(scope="module")
def raster():
    return rasterize(straight_map())


def rgb(image: np.ndarray) -> np.ndarray:
    channels = image.view(np.uint8).reshape(*image.shape, 4)
    assert (channels[..., 3] == 255).all()
    return channels[..., 2::-1].astype(int)


def texel(raster, x: float, y: float) -> tuple[int, ...]:
    column, row = int((x - raster.origin_x) / TEXEL), int((y - raster.origin_y) / TEXEL)
    value = int(raster.texels[row * raster.width[0] + column])
    return value >> 16 & 255, value >> 8 & 255, value & 255


def test_raster_colours_by_hand(raster):
    assert texel(raster, 0.05, 1.75) == ASPHALT
    assert texel(raster, 0.05, -1.75) == ASPHALT
    assert texel(raster, 0.05, 10.0) == GRASS
    # The centre line covers -7.5..7.5 cm: three quarters of the texels from 0 to 10 and from -10 to 0 cm.
    blend = [round(0.75 * paint + 0.25 * asphalt) for paint, asphalt in zip(PAINT["yellow"], ASPHALT, strict=True)]
    assert texel(raster, 0.05, 0.05) == pytest.approx(tuple(blend), abs=8)
    assert texel(raster, 0.05, 0.05) == texel(raster, 0.05, -0.05)
    assert sum(texel(raster, 0.05, 3.5)) > 400  # the white edge line


def test_broken_lines_are_three_metres_on_and_six_off():
    broken = rasterize(straight_map("broken"))
    painted = [sum(texel(broken, x / 10 + 0.05, 0.05)) > 300 for x in range(-300, 300)]
    assert sum(painted) / len(painted) == pytest.approx(3.0 / 9.0, abs=0.03)


def test_coarser_levels_keep_the_mean(raster):
    means = []
    for level in range(5):
        size = int(raster.width[level]) * int(raster.height[level])
        texels = raster.texels[raster.offset[level] : raster.offset[level] + size]
        means.append(texels.view(np.uint8).reshape(-1, 4).mean(axis=0))
    for mean in means[1:]:
        assert mean == pytest.approx(means[0], abs=0.7)


def test_packed_means_round_down_and_up():
    first, second = np.array([pack((10, 20, 255))], np.uint32), np.array([pack((13, 20, 0))], np.uint32)
    assert average(first, second)[0] == pack((11, 20, 127))
    assert average_up(first, second)[0] == pack((12, 20, 128))


def test_picture_from_the_middle_of_the_road_is_symmetric(raster):
    image = rgb(Camera(84, 84, 90.0).render(Transform(z=1.5), raster, []))
    assert np.abs(image - image[:, ::-1]).mean() < 0.5
    yellow = np.clip(image[50:, :, 0] - image[50:, :, 2] - 20, 0, None).sum(axis=0)
    assert np.average(np.arange(84), weights=yellow) == pytest.approx(41.5, abs=0.2)
    bottom = image[83]
    assert tuple(bottom[20]) == ASPHALT
    assert bottom[41:43].sum() > 3 * bottom[20].sum() / 2  # yellow in the middle


def test_horizon_lies_in_the_middle_and_follows_the_pitch(raster):
    def first_ground_row(pitch: float) -> int:
        image = rgb(Camera(84, 84, 90.0).render(Transform(z=1.5, pitch=pitch), raster, []))
        green = image[:, 42, 1] - image[:, 42, 2]
        grey = np.abs(image[:, 42] - ASPHALT).sum(axis=1) < 60
        return int(np.argmax(grey | (green > 30)))

    assert first_ground_row(0.0) == 42
    # tan(20 deg) x 42 px = 15.3 px higher when the camera looks down, lower when it looks up.
    assert first_ground_row(-20.0) == pytest.approx(42 - 15.3, abs=1.5)
    assert first_ground_row(20.0) == pytest.approx(42 + 15.3, abs=1.5)


@pytest.mark.parametrize(("fov", "focal"), [(90.0, 100.0), (60.0, 173.2)])
def test_edge_line_appears_where_the_pinhole_puts_it(raster, fov, focal):
    image = rgb(Camera(200, 200, fov).render(Transform(z=1.5), raster, []))
    row = 150
    distance = 1.5 * focal / (row + 0.5 - 100)
    expected = 99.5 + focal * 3.5 / distance
    if expected < 195:
        brightness = image[row, 120:].sum(axis=1)
        assert 120 + int(brightness.argmax()) == pytest.approx(expected, abs=2.0)
    else:
        assert (image[row] < 226).any(axis=1).all()  # a narrow view has no edge line in this row


def test_moving_right_moves_the_line_left_and_turning_right_too(raster):
    def line(pose: Transform) -> float:
        image = rgb(Camera(84, 84, 90.0).render(pose, raster, []))
        yellow = image[70, :, 0] - image[70, :, 2]
        return float(np.average(np.arange(84), weights=np.clip(yellow - 20, 0, None)))

    ahead = line(Transform(z=1.5))
    # Row 70.5 - 42 = 28.5 px below the horizon: 1.5 x 42 / 28.5 = 2.21 m away, 0.5 m are 9.5 px.
    assert line(Transform(y=0.5, z=1.5)) == pytest.approx(ahead - 9.5, abs=0.7)
    assert line(Transform(z=1.5, yaw=5.0)) == pytest.approx(ahead - 42 * math.tan(math.radians(5.0)), abs=0.7)


def test_roll_tilts_the_horizon(raster):
    image = rgb(Camera(84, 84, 90.0).render(Transform(z=1.5, roll=20.0), raster, []))
    sky = image[..., 2] > 150
    assert sky[:, 0].sum() != sky[:, 83].sum()
    expected = 2 * 41.5 * math.tan(math.radians(20.0))
    assert abs(int(sky[:, 0].sum()) - int(sky[:, 83].sum())) == pytest.approx(expected, abs=3.0)


def test_sky_is_bluer_above(raster):
    image = rgb(Camera(84, 84, 90.0).render(Transform(z=1.5), raster, []))
    assert image[0, 42] == pytest.approx(np.array(ZENITH), abs=6)
    assert image[0, 42, 0] < image[40, 42, 0]


def test_a_car_ahead_covers_the_pixels_its_size_asks_for(raster):
    car = Box(12.0, 0.0, 0.0, 0.0, (2.0, 1.0, 0.75), (200, 0, 0))
    camera, pose = Camera(84, 84, 90.0), Transform(z=1.0)
    changed = camera.render(pose, raster, [car]) != camera.render(pose, raster, [])
    rows, columns = np.nonzero(changed)
    # Its rear stands 10 m away: 42 x 1 / 10 = 4.2 px to either side; its foot 42 x 1.0 / 10 = 4.2 px below
    # the horizon, its top (1.5 m) 2.1 px above.
    assert (columns.min(), columns.max()) == (38, 45)
    assert (rows.min(), rows.max()) == (40, 45)


def test_nearer_cars_hide_farther_ones_whatever_their_order(raster):
    near = Box(10.0, 0.0, 0.0, 0.0, (2.0, 1.0, 0.75), (200, 0, 0))
    far = Box(20.0, 0.0, 0.0, 0.0, (2.0, 1.0, 0.75), (0, 0, 200))
    camera, pose = Camera(84, 84, 90.0), Transform(z=1.0)
    one, other = camera.render(pose, raster, [near, far]), camera.render(pose, raster, [far, near])
    assert (one == other).all()
    assert (one == camera.render(pose, raster, [near])).all()


def test_cars_behind_and_the_own_one_are_not_painted(raster):
    camera, pose = Camera(84, 84, 90.0), Transform(x=1.6, z=1.5)
    empty = camera.render(pose, raster, [])
    own = Box(0.0, 0.0, 0.0, 0.0, (2.4, 1.08, 0.74), (200, 0, 0))
    behind = Box(-10.0, 0.0, 0.0, 0.0, (2.4, 1.08, 0.74), (200, 0, 0))
    assert (camera.render(pose, raster, [own, behind]) == empty).all()
    chase = Transform(x=-6.0, z=2.5)
    assert (camera.render(chase, raster, [own]) != camera.render(chase, raster, [])).any()


def test_a_car_beside_the_camera_is_cut_at_the_image_border(raster):
    beside = Box(1.0, 3.0, 0.0, 0.0, (2.4, 1.08, 0.74), (200, 0, 0))
    camera, pose = Camera(84, 84, 90.0), Transform(z=1.5)
    changed = camera.render(pose, raster, [beside]) != camera.render(pose, raster, [])
    assert changed[:, 83].any()
    assert not changed[:, :42].any()


def test_far_from_any_road_there_is_grass_and_below_ground_nothing_breaks(raster):
    image = rgb(Camera(32, 32, 90.0).render(Transform(x=5000.0, y=-5000.0, z=2.0), raster, []))
    assert (image[24:] == GRASS).all()
    assert rgb(Camera(32, 32, 90.0).render(Transform(z=-1.0), raster, [])).shape == (32, 32, 3)


def test_lane_lines_do_not_flicker_when_the_car_creeps(raster):
    camera = Camera(84, 84, 90.0)
    grays = [rgb(camera.render(Transform(x=0.01 * step, y=1.75, z=1.5), raster, [])).mean(axis=2) for step in range(20)]
    assert np.abs(np.diff(grays, axis=0)).max() < 12.0


@pytest.mark.parametrize(("width", "height", "fov"), [(0, 84, 90.0), (84, 84, 0.0), (84, 84, 180.0)])
def test_impossible_cameras_are_refused(width, height, fov):
    with pytest.raises(ValueError, match="no camera"):
        Camera(width, height, fov)


def test_every_map_shows_road_ahead_of_every_lane():
    mount = Transform(x=1.6, z=1.5)
    for name in maps.MAP_NAMES:
        road_map = maps.built_in(name)
        raster = rasterize(road_map)
        for point in maps.spawn_points(road_map)[::9]:
            pose = compose(Transform(point.x, point.y, 0.0, 0.0, point.yaw), mount)
            image = rgb(Camera(84, 84, 90.0).render(pose, raster, []))
            assert np.abs(image[80, 36:48] - ASPHALT).max() < 4
