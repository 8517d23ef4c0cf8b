"""Acting in processes of their own while the learner learns: how steps arrive, and how stale they may be."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from multiprocessing import connection
from typing import Any

import numpy as np

from td3sweep.agent.td3 import TD3
from td3sweep.collect.collector import FAULTS_IN_A_ROW, PAUSES_S, Collector, Step
from td3sweep.collect.episode import Episode, Transition
from td3sweep.collect.evaluation import FIRST_SEED, Observer
from td3sweep.collect.messages import Began, Begin, Evaluate, Evaluated, Go
from td3sweep.collect.parameters import SharedParameters
from td3sweep.collect.remote import Fleet, Remote
from td3sweep.collect.schedule import LEAD, Schedule
from td3sweep.errors import SimulatorError, UserError
from td3sweep.monitor.bias import Bias
from td3sweep.replay.shards import Shard, ShardedReplay

log = logging.getLogger(__name__)

WAIT_S = 0.2  # after which the loop may look at its signals


class ActorState:
    """What the trainer knows of one actor.

    Attributes:
        episode: the open one, as far as it is stored.
        number: of the next episode that it begins; with the seed of the run it decides that one's seed.
        employed: whether it was told to begin an episode whose end is not stored yet.
        acting: whether, by what was heard of it, it is within an episode.
        ahead: permits given for steps that are not stored yet.
        heard: environment step when it last answered.
        faults_in_a_row: of its simulator.
        rests_until: when its simulator is tried again (of the monotonic clock).
    """

    def __init__(self, name: str, remote: Remote, shard: Shard) -> None:
        self.name, self.remote, self.shard = name, remote, shard
        self.episode: Episode | None = None
        self.number = 0
        self.employed = self.acting = False
        self.ahead = self.heard = 0
        self.faults_in_a_row = 0
        self.rests_until = 0.0


class ActorPool(Collector):
    """Steps of several actors, in the order in which they arrive.

    Every actor has an environment, a policy whose parameters it renews before each action, and a ring of the replay
    memory. It acts by permit only: so many steps are stored as were asked for, whoever takes them, and it is never more
    than ``LEAD`` steps ahead. The learner waits for an actor that is overtaken too often
    (:func:`td3sweep.collect.schedule.stalest`), but not for one that begins an episode or whose simulator starts again.
    """

    def __init__(self, schedule: Schedule, fleet: Fleet, agent: TD3, replay: ShardedReplay) -> None:
        super().__init__(schedule, agent)
        self._replay = replay
        self._parameters = SharedParameters(agent.policy, fleet.parameters)
        self._actors = [
            ActorState(f"actor {place}", remote, shard)
            for place, (remote, shard) in enumerate(zip(fleet.remotes, replay.shards, strict=True))
        ]
        self._arrived: deque[tuple[ActorState, Any]] = deque()
        self._patience = len(self._actors) * LEAD  # steps stored before the learner waits for an actor
        self._worked = False  # a step arrived in this session
        self._staleness: list[int] = []
        self._since: float | None = None  # when the loop began to wait for a step

    def collect(self) -> Step | None:
        """See :class:`Collector`."""
        self._since = self._since or time.perf_counter()
        self._publish()
        self._employ()
        while self._hear():
            actor, answer = self._arrived.popleft()
            if isinstance(answer, Began):
                actor.episode = Episode(
                    self._seeds(actor)[0], answer.observation, self.agent.initial_state(), Bias(self.schedule.gamma)
                )
                actor.number += 1
                actor.shard.begin(answer.observation)
                self._employ()
            elif isinstance(answer, Transition):
                return self._take(actor, answer)
            else:
                raise self._fault(actor, answer)
        return None

    def _take(self, actor: ActorState, transition: Transition) -> Step:
        assert actor.episode is not None
        assert self._since is not None
        actor.episode.before(self.agent, transition.chosen.action)
        step = self._store(actor.shard, actor.episode, transition, self._since)
        self._since = None
        actor.ahead -= 1
        actor.faults_in_a_row, self._worked = 0, True
        self._staleness.append(self.agent.updates - transition.updates)
        if transition.last:
            actor.episode, actor.employed = None, False
        self._employ(begin=False)  # the next step is taken while the learner learns from this one
        return step

    # Giving permits and hearing

    def _publish(self) -> None:
        if self._parameters.updates != self.agent.updates:
            self._parameters.publish(self.agent.updates)

    def _employ(self, begin: bool = True) -> None:
        """Give permits for as many steps as there is room for; with ``begin``, start episodes for them as well.

        A permit may come to nothing. So those of one kind are given until all of its steps are stored, and only then
        the next.
        """
        until = self.schedule.of_one_kind_until(self.step)
        for actor in self._actors:
            if not actor.remote.alive:
                continue
            # Until a first step has arrived, one that failed waits for what the others have to say.
            rested = time.monotonic() >= actor.rests_until and (self._worked or actor.faults_in_a_row == 0)
            if begin and not actor.employed and rested:
                actor.employed = True
                actor.remote.send(Begin(*self._seeds(actor)))
            while actor.acting and actor.ahead < LEAD and self._promised() < until:
                actor.remote.send(Go(self.schedule.acting(self._promised()), self.schedule.noise(self._promised())))
                actor.ahead += 1

    def _promised(self) -> int:
        return self.step + sum(actor.ahead for actor in self._actors)

    def _seeds(self, actor: ActorState) -> tuple[int, int]:
        """Seeds of the next episode and of its noise."""
        # Longer than the entropy of a run without actors.
        entropy = [self.schedule.seed, self._actors.index(actor), actor.number, 1]
        seed, noise = (int(word) for word in np.random.SeedSequence(entropy).generate_state(2))
        return seed % FIRST_SEED, noise

    def _hear(self) -> bool:
        """Bring in what has arrived, waiting a moment if nothing has; whether there is something to go on with."""
        overdue = [actor for actor in self._actors if self._is_overdue(actor)]
        actors = {actor.remote.pipe: actor for actor in overdue or self._actors if actor.remote.alive}
        for pipe in connection.wait(list(actors), 0.0 if self._arrived and not overdue else WAIT_S):
            self._read(actors[pipe])  # type: ignore[index]
        return bool(self._arrived) and not any(map(self._is_overdue, overdue))

    def _is_overdue(self, actor: ActorState) -> bool:
        waiting = sum(1 for other, answer in self._arrived if other is actor and isinstance(answer, Transition))
        under_way = actor.acting and actor.ahead > waiting
        return under_way and waiting == 0 and self.step - actor.heard >= self._patience

    def _read(self, actor: ActorState) -> None:
        """Bring in all that one actor has said."""
        while True:
            answer = actor.remote.receive()
            actor.heard = self.step
            self._arrived.append((actor, answer))
            actor.acting = isinstance(answer, Began) or (isinstance(answer, Transition) and not answer.last)
            if not actor.acting:  # permits beyond the last step are void
                actor.ahead = sum(1 for other, held in self._arrived if other is actor and isinstance(held, Transition))
            if not actor.remote.alive or not actor.remote.pipe.poll():
                return

    # Evaluating

    def evaluate(
        self, episodes: int, interrupted: Callable[[], bool], observer: Observer | None
    ) -> dict[str, float] | None:
        """The actor that just ended an episode drives; the others take the steps they have permits for, then pause.

        At the end of a run all are within episodes: then one breaks its own off.
        """
        self._publish()
        now = time.monotonic()
        actor = min(self._tried(), key=lambda actor: (not actor.remote.alive, actor.rests_until > now, actor.employed))
        if not actor.remote.alive:
            raise self._fault(actor, None)
        self._vacate(actor)
        actor.remote.send(Evaluate(episodes, self.schedule.eval_spread, film=observer is not None))
        while not interrupted():
            if not actor.remote.pipe.poll(WAIT_S):
                continue
            answer = actor.remote.receive()
            if isinstance(answer, Evaluated):
                actor.faults_in_a_row, self._worked = 0, True
                if observer is not None:
                    for transition in answer.film:
                        observer(*transition)
                return answer.found
            if not isinstance(answer, Began | Transition):  # those are left of the episode that it broke off
                raise self._fault(actor, answer)
        actor.remote.leave()  # the run is ending
        return None

    # Faults

    @property
    def pause_s(self) -> float:
        """See :class:`Collector`: none as long as one simulator need not rest."""
        return max(0.0, min((actor.rests_until for actor in self._tried()), default=0.0) - time.monotonic())

    @property
    def hopeless(self) -> bool:
        """See :class:`Collector`; one that fails before any ever worked is not tried again and again."""
        limit = FAULTS_IN_A_ROW if self._worked else 1
        return all(actor.faults_in_a_row >= limit for actor in self._actors)

    def _fault(self, actor: ActorState, answer: Any) -> SimulatorError:
        """Void the actor's episode, and see that it goes on or is given up; the others are not concerned."""
        if isinstance(answer, UserError):
            raise answer
        how = str(answer) if answer is not None else f"its process is gone: {actor.remote.end()}"
        error = SimulatorError(f"{actor.name}: {how}", getattr(answer, "kind", "other"))
        self._count(error)
        actor.faults_in_a_row += 1
        actor.rests_until = time.monotonic() + PAUSES_S[min(actor.faults_in_a_row, len(PAUSES_S)) - 1]
        actor.number += 1
        self._vacate(actor)
        if actor.faults_in_a_row >= FAULTS_IN_A_ROW:
            actor.remote.end()
            log.warning("%s failed %d times in a row: given up until a resume", actor.name, FAULTS_IN_A_ROW)
        elif not actor.remote.alive:
            actor.remote.start()
        return error

    def _tried(self) -> list[ActorState]:
        """Those that are not given up."""
        return [actor for actor in self._actors if actor.faults_in_a_row < FAULTS_IN_A_ROW]

    def _vacate(self, actor: ActorState) -> None:
        """Forget an actor's open episode, and what is left of it on the way."""
        actor.shard.discard_episode()
        actor.episode = None
        actor.employed = actor.acting = False
        actor.ahead = 0
        self._arrived = deque(item for item in self._arrived if item[0] is not actor)

    # Reporting, saving

    def row(self) -> dict[str, float]:
        """See :class:`Collector`."""
        row = super().row()
        if self._staleness:
            row["actors/staleness"] = sum(self._staleness) / len(self._staleness)
            row["actors/staleness_max"] = float(max(self._staleness))
            self._staleness.clear()
        return row

    def state_dict(self) -> dict[str, Any]:
        """See :class:`Collector`; open episodes are not kept."""
        return super().state_dict() | {"actors": [actor.number for actor in self._actors]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :class:`Collector`."""
        super().load_state_dict(state)
        for actor, number in zip(self._actors, state["actors"], strict=True):
            actor.number = number
        if discarded := self._replay.discard_episodes():
            log.info("actors: %d open episodes are discarded; the learner goes on exactly", discarded)
