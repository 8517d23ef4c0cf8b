"""`td3sweep/CarlaDrive-v0`: drive a route through CARLA, or through its stand-in, by camera."""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from td3sweep.envs.carla.config import DriveConfig
from td3sweep.envs.carla.control import Control, action_of, control_of
from td3sweep.envs.carla.observe import (
    FASTEST,
    Frame,
    FrameStack,
    Shutter,
    bgra_pixels,
    camera_frame,
    drive_vector,
    vector_size,
)
from td3sweep.envs.carla.reward import build_reward
from td3sweep.envs.carla.route import Route
from td3sweep.envs.carla.server import Server
from td3sweep.envs.carla.simulation import FIXED_DELTA, Simulation
from td3sweep.envs.carla.starts import Starts
from td3sweep.envs.carla.state import DriveState, Tick
from td3sweep.envs.carla.terminate import ALWAYS, EndReason, build_ends, first_end
from td3sweep.envs.carla.tracker import DriveTracker
from td3sweep.envs.protocol import Action, Observation, observation_space
from td3sweep.errors import SimulatorError

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

    def __init__(self, config: DriveConfig | None = None) -> None:
        """Nothing is started here; `start()` or the first `reset()` does.

        Raises:
            UserError: the server's mode lacks something, or a name is unknown.
        """
        config = self._told = DriveConfig() if config is None else config
        env = self._config = config.env
        self.vector_size = vector_size(env.vector)
        self.action_size = ACTION_SIZE
        self.observation_space = observation_space(self.vector_size, config.frame_stack, FASTEST)
        self.action_space = spaces.Box(-1.0, 1.0, (self.action_size,), np.float32)
        self.render_mode = config.render_mode
        self.faults = 0
        self._reward = build_reward(
            config.reward.terms,
            progress_scale=config.reward.progress_scale,
            stalled=env.stalled_ticks if env.stalled_ticks and "stalled" in env.terminate else math.inf,
            gamma=config.gamma,
        )
        self._truncating = {"time_limit", *ALWAYS} - set(env.terminate)
        self._ends = build_ends(env.terminate, stalled_ticks=env.stalled_ticks)
        self._server = Server(
            env.server,
            host=env.host,
            port=env.port,
            path=env.path,
            command=env.command,
            gpu=env.gpu,
            flags=env.flags,
            map_name=env.map,
            log_dir=config.log_dir,
        )
        self._shutter = Shutter(env.dark)
        self._autopilot, self._detail = config.autopilot, config.detail
        self._simulation: Simulation | None = None
        self._starts: Starts | None = None
        self._episodes = 0
        self._stack = FrameStack(config.frame_stack)
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
        limits = self._config.timeouts
        step = self._config.action_repeat * (2.0 * limits.tick + limits.frame)
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
            fixed_delta=FIXED_DELTA,
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
        begun = {"route": route.points, "max_steer": max_steer * self._config.steer_scale}
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
        control = control_of(action, self._config.steer_scale, autopilot=self._autopilot)
        terms = dict.fromkeys(self._reward.names, 0.0)
        ticks: list[DriveState] = []
        driven: list[Control] = []
        end: EndReason = ""
        for _ in range(self._config.action_repeat):
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
        if not end and self._steps >= self._config.max_episode_steps:
            end = "time_limit"
        self._stack.push(self._frame(tick))
        truncated = end in self._truncating
        terminated = bool(end) and not truncated
        terms |= self._reward.shaping(state, terminated)
        info = self._info(tick, terms, end) | {"seconds": len(ticks) * FIXED_DELTA}
        if action is None:
            info["control"] = action_of(driven, self._config.steer_scale)
        if end == "route_done" and truncated:
            info["unlearnt"] = self._reward.bonus(state)
        if self._detail:
            info |= {"ticks": ticks, "fixed_delta": FIXED_DELTA}
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
        every = self._config.restart_every
        if self._simulation and every and self._episodes >= every:
            self.close()
        if self._simulation is None:
            self._episodes = 0
            self._simulation = world = Simulation(self._server, self._told)
            self._starts = Starts(
                *(world.lanes, world.places, world.waypoints),
                length=(self._config.route_min, self._config.route_max),
                pairs=self._config.routes,
                jitter=(self._config.spawn_jitter, self._config.heading_jitter),
            )
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
            if tick := simulation.begin(pose, height, traffic=self._config.traffic, seed=seed):
                return tick, route
        raise SimulatorError(f"the ego car found no free place in {PLACES_TRIED} tries on {self._config.map}")

    def _observation(self, tick: Tick) -> Observation:
        assert self._tracker is not None
        place, route = self._tracker.place, self._tracker.route
        return {
            "image": self._stack.array(),
            "vector": drive_vector(
                self._config.vector, tick.speed, tick.pose, place, route, speed_scale=self._config.speed_scale
            ),
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
            "cars_asked": self._config.traffic,
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
