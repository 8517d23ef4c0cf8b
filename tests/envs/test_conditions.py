"""Weather reaches the server, and a world that is not the one asked for is refused."""

from types import SimpleNamespace

import pytest
from bare_drive import bare

from td3sweep.envs.carla.conditions import check_world
from td3sweep.envs.carla.env import CarlaDriveEnv
from td3sweep.errors import SimulatorError, UserError

carla = pytest.importorskip("carla")


def test_a_weather_preset_holds_on_the_server_over_episodes():
    with CarlaDriveEnv(bare(weather="WetSunset")) as env:
        for seed in (0, 1):
            env.reset(seed=seed)
            assert env._simulation._world.get_weather() == carla.WeatherParameters.WetSunset
    with CarlaDriveEnv(bare()) as env:
        env.reset(seed=0)
        assert env._simulation._world.get_weather() != carla.WeatherParameters.WetSunset


@pytest.mark.parametrize("name", ["Sunny", "cloudiness"])
def test_an_unknown_weather_names_the_choices(name):
    with (
        CarlaDriveEnv(bare(weather=name)) as env,
        pytest.raises(UserError, match=rf"^env\.weather={name}: .*ClearNoon, .*"),
    ):
        env.reset(seed=0)


def world(name="Carla/Maps/Town01", synchronous=True, seconds=0.05, weather=None):
    return SimpleNamespace(
        get_map=lambda: SimpleNamespace(name=name),
        get_settings=lambda: SimpleNamespace(synchronous_mode=synchronous, fixed_delta_seconds=seconds),
        get_weather=lambda: weather or carla.WeatherParameters.ClearNoon,
    )


def check(reported, weather=None):
    check_world(reported, map_name="Town01", fixed_delta=0.05, weather=weather)


def test_what_was_asked_for_passes():
    check(world())
    check(world(weather=carla.WeatherParameters.WetNoon), carla.WeatherParameters.WetNoon)


@pytest.mark.parametrize(
    ("reported", "weather", "message"),
    [
        (world(name="Carla/Maps/Town10HD"), None, r"env\.map=Town01, but the server reports Town10HD"),
        (world(synchronous=False), None, "synchronous mode=True, but the server reports False"),
        (world(seconds=None), None, r"seconds per tick=0\.05, but the server reports 0\.0"),
        (world(), carla.WeatherParameters.WetNoon, r"env\.weather=.*but the server reports"),
    ],
)
def test_another_world_is_refused(reported, weather, message):
    with pytest.raises(SimulatorError, match=message) as caught:
        check(reported, weather)
    assert caught.value.kind == "load"
