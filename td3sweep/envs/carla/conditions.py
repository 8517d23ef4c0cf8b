"""What was asked of a server's world, and whether that is what it reports."""

from types import ModuleType
from typing import Any

from td3sweep.errors import SimulatorError, UserError


def weather_preset(carla: ModuleType, name: str) -> Any:
    """The `carla.WeatherParameters` of that name.

    Raises:
        UserError: there is no such preset.
    """
    presets = {key: value for key, value in vars(carla.WeatherParameters).items() if key[0].isupper()}
    if name not in presets:
        raise UserError(f"env.weather={name}: no such preset; choose from {', '.join(sorted(presets))}")
    return presets[name]


def check_world(world: Any, *, map_name: str, fixed_delta: float, weather: Any) -> None:
    """Compare a synchronous `carla.World` with what was asked for; `weather` None leaves that out.

    Raises:
        SimulatorError: the world is another one.
    """
    settings = world.get_settings()
    facts = {
        "env.map": (map_name, world.get_map().name.rsplit("/", 1)[-1]),
        "synchronous mode": (True, settings.synchronous_mode),
        "seconds per tick": (round(fixed_delta, 9), round(settings.fixed_delta_seconds or 0.0, 9)),
    }
    if weather is not None:
        facts["env.weather"] = (weather, world.get_weather())
    for name, (asked, reported) in facts.items():
        if reported != asked:
            raise SimulatorError(f"asked for {name}={asked}, but the server reports {reported}", "load")
