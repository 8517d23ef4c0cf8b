"""`td3sweep/CarlaDrive-v0`: drive a route through CARLA, or through its stand-in, by camera."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from td3sweep.envs.carla.control import Control, action_of, control_of
from td3sweep.envs.carla.observe import (
    FASTEST,
    SPEED_SCALE,
    Frame,
    FrameStack,
    Shutter,
    bgra_pixels,
    camera_frame,
    drive_vector,
    vector_size,
)
from td3sweep.envs.carla.reward import TARGET_SPEED, Preset, build_reward, reward_preset
from td3sweep.envs.carla.route import Route
from td3sweep.envs.carla.server import Server
from td3sweep.envs.carla.simulation import SUBSTEP, SUBSTEPS, Camera, Simulation, Timeouts
from td3sweep.envs.carla.starts import Starts
from td3sweep.envs.carla.state import DriveState, Tick
from td3sweep.envs.carla.terminate import ALWAYS, EndReason, build_ends, first_end
from td3sweep.envs.carla.tracker import DriveTracker
from td3sweep.envs.protocol import STACK, Action, Observation, check_ranges, observation_space
from td3sweep.errors import SimulatorError, UserError
from td3sweep.names import ServerMode, VectorKind

ACTION_SIZE = 2  # steer; throttle or brake
PLACES_TRIED = 10


class CarlaDriveEnv(gymnasium.Env[Observation, Action]):
    """Follow a route of some hundred metres; success is reaching its end.

    Observation: `image` uint8 (frame_stack, 84, 84), gray frames, one an agent step, oldest first; `vector` float32,
    see `observe.drive_vector`. Action: steer, and throttle if positive or brake if negative, each in [-1, 1].

    Terminated by what `terminate` names: a collision, the road's edge, a standstill; truncated at the time limit and
    by a route's end or standstill that is not named; `info["end"]` says which. On the stand-in, `reset(seed=...)` alone
    decides an episode; real CARLA promises no such thing. After a SimulatorError the episode is void, and the next
    `reset()` builds everything anew.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(
        self,
        *,
        server: ServerMode = "standin",
        host: str = "127.0.0.1",
        port: int | None = None,
        path: str | None = None,
        command: Sequence[str] = (),
        gpu: int | None = None,
        flags: Sequence[str] = (),
        map_name: str = "StandInTown",
        weather: str | None = None,
        vector: VectorKind = "full",
        speed_scale: float = SPEED_SCALE,
        camera_width: int = 84,
        camera_height: int = 84,
        camera_fov: float = 90.0,
        camera_x: float = 1.6,
        camera_z: float = 1.5,
        camera_pitch: float = 0.0,
        dark: Sequence[float] = (),
        frame_stack: int = STACK,
        action_repeat: int = 1,
        steer_scale: float = 1.0,
        max_episode_steps: int = 1000,
        stalled_ticks: int | None = None,
        terminate: Sequence[str] = ("collision", "off_road", "stalled"),
        off_road: float = 2.5,
        fixed_delta: float = 0.05,
        traffic: int = 0,
        autopilot: bool = False,
        routes: Sequence[Sequence[int]] = (),
        route_length: tuple[float, float] = (250.0, 350.0),
        spawn_jitter: float = 0.6,
        heading_jitter: float = 0.1,
        reward: str | Mapping[str, float] = "cruise",
        progress_scale: float | None = None,
        target_speed: float = TARGET_SPEED,
        reward_scale: float = 1.0,
        gamma: float = 0.99,
        restart_every_episodes: int | None = None,
        start_timeout: float = 60.0,
        load_timeout: float = 60.0,
        tick_timeout: float = 10.0,
        frame_timeout: float = 5.0,
        log_dir: str | None = None,
        detail: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """Nothing is started here; `start()` or the first `reset()` does.

        Args:
            server: `standin` | `launch` (CarlaUE4.sh at `path`) | `command` (any command line) | `connect` (one
                running at `host`, `port`).
            host: where to connect.
            port: RPC port of the server; None takes a free block of ports.
            path: CarlaUE4.sh.
            command: what runs a server in the foreground; see `Server`.
            gpu: what the server renders on; None takes the first of CUDA_VISIBLE_DEVICES.
            flags: more command-line flags for a server started here.
            map_name: a map of the server, without its folder.
            weather: one of the presets of `carla.WeatherParameters`; None leaves the map's.
            vector: `full` (78 numbers) | `no_waypoints` (3) | `speed` (1).
            speed_scale: m/s that the vector shows as 1.
            camera_width, camera_height: pixels; resized to 84 x 84 by areas.
            camera_fov: horizontal, degrees.
            camera_x, camera_z, camera_pitch: metres ahead of the car's centre, metres above it, degrees.
            dark: metres (every, length): the agent's frames are black over `length` of every `every` along the route,
                from a place on that the seed decides; three: see `Shutter`; equal: always; none: never.
            frame_stack: frames in the image stack.
            action_repeat: simulator ticks an agent step; rewards add up.
            steer_scale: share of the car's steering range that an action of 1 uses.
            max_episode_steps: agent steps until truncation; `gymnasium.make` keeps this name for itself and
                adds a TimeLimit wrapper, which can only shorten the default.
            stalled_ticks: ticks at a standstill that end an episode; None never.
            terminate: what ends the task: `collision`, `off_road`, `stalled`, `route_done`. The last two end an
                episode in any case, and truncate it where they are not named.
            off_road: metres from the lane's centre at which the road ends.
            fixed_delta: simulated seconds a tick.
            traffic: other cars to ask for; `info` says how many came.
            autopilot: be ready for `step(None)`: CARLA's Traffic Manager drives.
            routes: fixed routes by the numbers of their first and last spawn point; none: random ones.
            route_length: shortest and longest random route, metres.
            spawn_jitter, heading_jitter: uniform offset of the start, metres to a side and radians.
            reward: a preset's name, or weights by term (`reward.py`).
            progress_scale: reward of a metre in the `progress` term; None keeps the preset's.
            target_speed: m/s, of the terms `efficiency` and `cruise_speed`, and of the autopilot.
            reward_scale: multiplies the whole reward.
            gamma: the learner's discount, for the terms `centre` and `apf` (`shaping.py`).
            restart_every_episodes: restart an own server so often (real servers leak); None never.
            start_timeout, load_timeout, tick_timeout, frame_timeout: seconds; see `Timeouts`.
            log_dir: folder for `server.log`; None uses a temporary file.
            detail: `info["ticks"]` of a step lists the `DriveState` of each of its ticks, with the crossings that
                CARLA's lane-invasion sensor saw; `info["fixed_delta"]` is a tick's length in seconds.
            render_mode: None or `rgb_array`, the camera's picture.

        Raises:
            UserError: an argument is out of range, naming its key.
        """
        check_ranges(
            action_repeat=(action_repeat, 1, math.inf),
            frame_stack=(frame_stack, 1, math.inf),
            max_episode_steps=(max_episode_steps, 1, math.inf),
            traffic=(traffic, 0, math.inf),
            steer_scale=(steer_scale, 0.01, 1.0),
            off_road=(off_road, 0.1, math.inf),
        )
        if not 0.0 < fixed_delta <= SUBSTEP * SUBSTEPS:
            raise UserError(
                f"env.fixed_delta={fixed_delta}: must be above 0 and at most {SUBSTEP * SUBSTEPS:g} s "
                "(CARLA's longest substep times its substeps)"
            )
        if not 0.0 < route_length[0] <= route_length[1]:
            raise UserError(f"env.route_length={list(route_length)}: give the shortest, then the longest, in metres")
        self.vector_size = vector_size(vector)
        self.action_size = ACTION_SIZE
        self.observation_space = observation_space(self.vector_size, frame_stack, FASTEST)
        self.action_space = spaces.Box(-1.0, 1.0, (self.action_size,), np.float32)
        self.render_mode = render_mode
        self.faults = 0
        preset = reward_preset(reward) if isinstance(reward, str) else Preset(reward)
        self._reward = build_reward(
            preset.weights,
            progress_scale=preset.progress_scale if progress_scale is None else progress_scale,
            target_speed=target_speed,
            off_road=off_road,
            stalled=stalled_ticks if stalled_ticks and "stalled" in terminate else math.inf,
            gamma=gamma,
            scale=reward_scale,
        )
        self._truncating = {"time_limit", *ALWAYS} - set(terminate)
        self._ends = build_ends(terminate, off_road=off_road, stalled_ticks=stalled_ticks)
        self._server = Server(
            server,
            host=host,
            port=port,
            path=path,
            command=command,
            gpu=gpu,
            flags=flags,
            map_name=map_name,
            log_dir=log_dir,
        )
        self._map_name, self._weather = map_name, weather
        self._camera = Camera(camera_width, camera_height, camera_fov, camera_x, camera_z, camera_pitch)
        self._timeouts = Timeouts(start_timeout, load_timeout, tick_timeout, frame_timeout)
        self._shutter = Shutter(dark)
        self._fixed_delta = fixed_delta
        self._vector, self._speed_scale = vector, speed_scale
        self._action_repeat = action_repeat
        self._steer_scale = steer_scale
        self._max_episode_steps = max_episode_steps
        self._traffic, self._autopilot = traffic, target_speed if autopilot else None
        self._starts_on = partial(Starts, length=route_length, pairs=routes, jitter=(spawn_jitter, heading_jitter))
        self._detail = detail
        self._restart_every = restart_every_episodes
        self._simulation: Simulation | None = None
        self._starts: Starts | None = None
        self._episodes = 0
        self._stack = FrameStack(frame_stack)
        self._tick: Tick | None = None
        self._tracker: DriveTracker | None = None
        self._first_frame = 0
        self._steps = 0

    @property
    def server_version(self) -> str:
        """What the server calls itself; empty before the first episode."""
        return self._simulation.version if self._simulation else ""

    @property
    def time_limits(self) -> tuple[float, float]:
        """Seconds that a step and a reset may take at the very most, going by the time limits inside."""
        limits = self._timeouts
        step = self._action_repeat * (2.0 * limits.tick + limits.frame)
        return step, limits.start + 3.0 * limits.load

    def start(self, again: bool = False) -> None:
        """Begin to start the server and return at once: what follows until `reset()` overlaps with it.

        `again`: a server of an environment before this one had the port; see `Server.start`.
        """
        self._server.start(again)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: decides start, route, jitter and traffic.
            options: `{"route": i}` takes the i-th of `routes` or of the map, without jitter; the seed decides traffic.
                `{"spread": i}` draws a start on the i-th lane, see `Starts.draw`.

        Raises:
            SimulatorError: the simulator failed; everything is discarded and the next call starts anew.

        Returns:
            Observation and info: `reward_terms` (weighted, their sum is the reward; `shaping` is the sum of those that
            are), `position` m, `heading` rad, `speed` m/s, `lateral` m and `heading_error` rad (positive right),
            `route_fraction`, `route_length` m, `success`, `end` (its reason, or empty), `frame` (simulator frames since
            the start), `cars_asked` and `cars_spawned`; from `reset` also `route`, (n, 2) m, and `max_steer`, the
            wheels' angle for a steer of 1, rad; from `step` also `seconds`, and at a route's end that truncates
            `unlearnt`, the part of the reward that it pays once and that a learner should leave out: it bootstraps from
            the road that follows.
        """
        super().reset(seed=seed)
        self._tick = self._tracker = None
        try:
            simulation = self._ready_simulation()
            tick, route = self._place(simulation, options or {})
            max_steer = simulation.max_steer
        except BaseException:
            self._discard()
            raise
        self._tracker = DriveTracker(
            route,
            tick,
            fixed_delta=self._fixed_delta,
            half_length=simulation.half_length,
            half_width=simulation.half_width,
        )
        self._reward.shaping.begin(self._tracker.first(tick, simulation.cars))
        self._tick = tick
        self._first_frame = tick.frame
        self._steps = 0
        self._shutter.begin(self.np_random)
        self._stack.restart(self._frame(tick))
        info = self._info(tick, dict.fromkeys(self._reward.names, 0.0), "")
        begun = {"route": route.points, "max_steer": max_steer * self._steer_scale}
        return self._observation(tick), info | begun

    def step(self, action: Action | None) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one action for `action_repeat` ticks, or fewer when the episode ends within them.

        With None CARLA's autopilot drives along the route; `info["control"]` is the action that comes nearest to what
        it did. Where it takes over, the first tick repeats the last control.

        Raises:
            SimulatorError: the simulator failed; the episode is void, call `reset()`.
            ValueError: the action is not finite, or None without `autopilot`.
        """
        if self._simulation is None or self._tracker is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        control = control_of(action, self._steer_scale, autopilot=self._autopilot is not None)
        terms = dict.fromkeys(self._reward.names, 0.0)
        ticks: list[DriveState] = []
        driven: list[Control] = []
        end: EndReason = ""
        for _ in range(self._action_repeat):
            try:
                if control is None:
                    self._simulation.hand_over(self._tracker.route, self._tracker.place.distance)
                tick = self._simulation.tick(control)
            except BaseException:
                self._discard()
                raise
            state = self._tracker.update(tick, self._simulation.cars)
            ticks.append(state)
            driven.append(tick.control)
            for name, value in self._reward(state).items():
                terms[name] += value
            if end := first_end(self._ends, state):
                break
        self._tick = tick
        self._steps += 1
        if not end and self._steps >= self._max_episode_steps:
            end = "time_limit"
        self._stack.push(self._frame(tick))
        truncated = end in self._truncating
        terminated = bool(end) and not truncated
        terms |= self._reward.shaping(state, terminated)
        info = self._info(tick, terms, end) | {"seconds": len(ticks) * self._fixed_delta}
        if action is None:
            info["control"] = action_of(driven, self._steer_scale)
        if end == "route_done" and truncated:
            info["unlearnt"] = self._reward.bonus(state)
        if self._detail:
            info |= {"ticks": ticks, "fixed_delta": self._fixed_delta}
        return self._observation(tick), sum(terms.values()), terminated, truncated, info

    def render(self) -> Any:
        """The camera's last picture, uint8 (height, width, 3) RGB; None before the first episode."""
        if self._tick is None:
            return None
        return np.ascontiguousarray(bgra_pixels(self._tick.image)[..., 2::-1])

    def close(self) -> None:
        """Leave the server tidily, and end it if it was started here."""
        simulation, self._simulation = self._simulation, None
        self._tick = self._tracker = None
        if simulation is not None:
            simulation.close()
        else:
            self._server.stop()

    def _ready_simulation(self) -> Simulation:
        if self._simulation and self._restart_every and self._episodes >= self._restart_every:
            self.close()
        if self._simulation is None:
            self._episodes = 0
            self._simulation = world = Simulation(
                self._server,
                map_name=self._map_name,
                weather=self._weather,
                camera=self._camera,
                fixed_delta=self._fixed_delta,
                timeouts=self._timeouts,
                watch_markings=self._detail,
                autopilot=self._autopilot,
            )
            self._starts = self._starts_on(world.lanes, world.places, world.waypoints)
        self._episodes += 1
        return self._simulation

    def _place(self, simulation: Simulation, options: Mapping[str, Any]) -> tuple[Tick, Route]:
        """Draw a start and a route until the ego fits there, and begin the episode in the world."""
        assert self._starts is not None
        index, starts = options.get("route"), self._starts
        for attempt in range(PLACES_TRIED):
            if index is None:
                route, pose, height = starts.draw(self.np_random, options.get("spread"))
            else:
                route, pose, height = starts.numbered(index, attempt)
            seed = int(self.np_random.integers(2**31))
            if tick := simulation.begin(pose, height, traffic=self._traffic, seed=seed):
                return tick, route
        raise SimulatorError(f"the ego car found no free place in {PLACES_TRIED} tries on {self._map_name}")

    def _observation(self, tick: Tick) -> Observation:
        assert self._tracker is not None
        place, route = self._tracker.place, self._tracker.route
        return {
            "image": self._stack.array(),
            "vector": drive_vector(self._vector, tick.speed, tick.pose, place, route, speed_scale=self._speed_scale),
        }

    def _frame(self, tick: Tick) -> Frame:
        assert self._tracker is not None
        return self._shutter(camera_frame(tick.image), self._tracker.place.distance)

    def _info(self, tick: Tick, terms: dict[str, float], end: EndReason) -> dict[str, Any]:
        assert self._tracker is not None
        assert self._simulation is not None
        return {
            "reward_terms": terms,
            "shaping": sum(terms[name] for name in self._reward.shaping.names),
            "position": (tick.pose.x, tick.pose.y),
            "heading": tick.pose.yaw,
            "speed": tick.speed,
            "lateral": self._tracker.place.lateral,
            "heading_error": self._tracker.place.heading_error,
            "route_fraction": self._tracker.fraction,
            "route_length": self._tracker.route.length,
            "success": end == "route_done",
            "end": end,
            "frame": tick.frame - self._first_frame,
            "cars_asked": self._traffic,
            "cars_spawned": len(self._simulation.cars),
        }

    def _discard(self) -> None:
        """After a fault: no client, world or actor of it is used again, and an own server is ended."""
        self.faults += 1
        self._tracker = None
        simulation, self._simulation = self._simulation, None
        if simulation is not None:
            simulation.discard()
        else:
            self._server.stop()
