"""The environments' settings: see :mod:`td3sweep.config.settings`, of which they are one group."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from td3sweep import names
from td3sweep.config.setting import FREE, LEARNT, SHAPE, TASK, TIME, Role, group, setting


@dataclass(frozen=True)
class EnvSettings:
    """What every environment has."""

    name: names.EnvName = setting("carla", "environment", role=TASK | Role.SHAPE | Role.TAPED)
    action_repeat: int = setting(4, "simulator ticks an action; 1 to 4", low=1, high=20, role=TASK | Role.TAPED)
    warmup_throttle: float = setting(
        -0.3, "lower bound of the random phase's throttle; -.5 to 0", low=-1.0, high=1.0, role=LEARNT
    )


@dataclass(frozen=True)
class CameraSettings:
    """The RGB camera on the ego vehicle; its image is made 84x84 gray by area averaging."""

    width: int = setting(84, "pixels; 84 to 800", low=16, high=4096)
    height: int = setting(84, "pixels; 84 to 600", low=16, high=4096)
    fov: float = setting(90.0, "horizontal field of view, degrees; 60 to 110", low=10.0, high=170.0)
    x: float = setting(1.6, "metres ahead of the vehicle's centre", low=-10.0, high=10.0)
    z: float = setting(1.5, "metres above the ground", low=0.1, high=50.0)
    pitch: float = setting(0.0, "degrees, down is negative; -20 to 0", low=-90.0, high=90.0)


@dataclass(frozen=True)
class TimeoutSettings:
    """Seconds after which something is a fault of the simulator."""

    start: float = setting(60.0, "a server's start", low=0.1, high=3600.0)
    load: float = setting(60.0, "a map load", low=0.1, high=3600.0)
    tick: float = setting(10.0, "one tick", low=0.1, high=3600.0)
    frame: float = setting(5.0, "a camera frame after its tick", low=0.1, high=3600.0)


@dataclass(frozen=True)
class CarlaSettings(EnvSettings):
    """CARLA 0.9.16 or the stand-in, by the same client and the same code."""

    server: names.ServerMode = setting("standin", "who runs the server")
    host: str = setting("127.0.0.1", "server=connect: its host", role=FREE)
    port: int | None = setting(
        None,
        "RPC port; null: a free block of four; further actors and sweep slots: 4 above",
        low=1,
        high=65_532,
        role=FREE,
    )
    path: str | None = setting(None, "server=launch: CarlaUE4.sh", role=FREE)
    command: list[str] = setting(
        [], "server=command: a command line that runs a server, such as docker run ...", role=FREE
    )
    gpu: int | None = setting(
        None, "GPU of a server of ours; null: the first of CUDA_VISIBLE_DEVICES", low=0, high=63, role=FREE
    )
    flags: list[str] = setting([], "further command-line flags for a server of ours", role=FREE)
    map: str = setting("StandInTown", "town or map name")
    weather: str | None = setting(
        None, "preset of carla.WeatherParameters, such as WetSunset; null: the map's own", role=TIME
    )
    vector: names.VectorKind = setting(
        "speed", "numbers beside the image: full has way-points", role=SHAPE | Role.TAPED
    )
    speed_scale: float = setting(
        3.0, "m/s that the vector shows as 1, up to six times as many; 3", low=0.1, high=100.0, role=TIME | Role.TAPED
    )
    camera: CameraSettings = group(CameraSettings, TIME | Role.TAPED)
    dark: list[float] = setting(
        [],
        "[EVERY,LENGTH]: the agent's camera is black over LENGTH of every EVERY metres of route, equal: always; "
        "[EVERY,SHORTEST,LONGEST]: each length is drawn",
        role=TIME | Role.TAPED,
    )
    traffic: int = setting(0, "other cars, driven by the Traffic Manager; 0 to 100", low=0, high=500)
    routes: list[list[int]] = setting(
        [], "fixed routes, of which the seed draws: spawn points [first,last] of each; []: random ones"
    )
    route_min: float = setting(250.0, "shortest route, metres", low=10.0, high=100_000.0)
    route_max: float = setting(350.0, "longest route, metres", low=10.0, high=100_000.0)
    spawn_jitter: float = setting(0.6, "start up to so many metres off the lane's centre; 0 to 1", low=0.0, high=2.0)
    heading_jitter: float = setting(0.1, "start up to so many radians off its direction; 0 to .2", low=0.0, high=1.0)
    steer_scale: float = setting(
        0.4, "share of the wheel's lock that action 1 asks for; .3 to 1", low=0.01, high=1.0, role=TIME | Role.TAPED
    )
    max_episode_steps: int = setting(400, "agent steps after which an episode is truncated", low=1, high=1_000_000)
    stalled_ticks: int | None = setting(
        100, "standing ticks that end an episode; null: never", low=1, high=1_000_000, role=TASK | Role.TAPED
    )
    terminate: list[str] = setting(
        ["collision", "off_road", "stalled"],
        "what ends the task: collision, off_road, stalled, route_done; the last two end an episode in any case, and "
        "where they are not named what would have followed still counts",
        role=TASK | Role.TAPED,
    )
    restart_every: int | None = setting(
        None, "episodes after which client and (if ours) server are restarted; null: never; 50 to 500", low=1, role=FREE
    )
    timeouts: TimeoutSettings = group(TimeoutSettings, FREE)


PORTS = 4  # of one CARLA server


def on_block(env: EnvSettings, number: int) -> EnvSettings:
    """The same environment where several run side by side: a port that is named moves on by so many servers."""
    if isinstance(env, CarlaSettings) and env.port is not None:
        return dataclasses.replace(env, port=env.port + PORTS * number)
    return env


@dataclass(frozen=True)
class GymSettings(EnvSettings):
    """Any Gymnasium environment with image observations."""

    id: str = setting("CarRacing-v3", "Gymnasium id", role=TASK | Role.SHAPE | Role.TAPED)
    pedals: list[int] = setting(
        [],
        "[FIRST,SECOND]: two of its actions become a throttle: the first is what lies above 0, the second below",
        role=SHAPE | Role.TAPED,
    )
    stalled_steps: int | None = setting(
        None, "actions in a row without a positive reward that truncate an episode; null: never; 20 to 100", low=1
    )
