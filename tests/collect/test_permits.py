"""Permits that come to nothing: as many actions of each kind are taken as were asked for, one kind after the other."""

import contextlib
import os
from multiprocessing import Pipe
from types import SimpleNamespace

import numpy as np
import pytest
from pool_runs import agent_of
from toy_trainer import schedule_of

from td3sweep.collect.actor_pool import ActorPool
from td3sweep.collect.collector import FAULTS_IN_A_ROW
from td3sweep.collect.episode import Choice, Transition
from td3sweep.collect.messages import Began, Begin, Evaluate, Evaluated
from td3sweep.collect.remote import Remote
from td3sweep.errors import SimulatorError
from td3sweep.replay.shards import ShardedReplay

OBSERVATION = {"image": np.zeros((4, 84, 84), np.uint8), "vector": np.zeros(2, np.float32)}


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    """A simulator that failed is tried again at once, and what was not said yet is not waited for."""
    monkeypatch.setattr("td3sweep.collect.actor_pool.PAUSES_S", (0.0,) * (FAULTS_IN_A_ROW - 1))
    monkeypatch.setattr("td3sweep.collect.actor_pool.WAIT_S", 0.0)


class Puppet(Remote):
    """An actor that answers when the test says so."""

    def __init__(self):
        super().__init__(None, 0, None)
        self.start()

    def start(self):
        self.pipe, self.theirs = Pipe()
        self.alive, self.asked, self.within = True, [], False

    def end(self):
        self.alive = False
        return "ended"

    def send(self, message):
        if not isinstance(message, Evaluate):
            self.asked.append(message)
        elif not self.theirs.closed:
            self.asked, self.within = [], False
            self.theirs.send(Evaluated({}, []))

    def answer(self, how="step"):
        """To the oldest thing asked: one step, the "last" of its episode, a "fault" or its process's "death"."""
        asked = self.asked.pop(0)
        begins = isinstance(asked, Begin)
        if self.theirs.closed or not (begins or self.within):
            return  # it is dead, which is not heard yet, or the permit is void
        if how == "death":
            self.theirs.close()
        elif how == "fault":
            self.theirs.send(SimulatorError("injected"))
        elif begins:
            self.theirs.send(Began(OBSERVATION))
        else:
            none, last = np.zeros(0, np.float32), how == "last"
            chosen = Choice(np.zeros(2, np.float32), asked.acting, none)
            self.theirs.send(Transition(chosen, 0.0, last, False, OBSERVATION, 0, {}))
        self.within = how == "step" or (begins and how == "last")


class Stage:
    """A collector whose actors are puppets.

    Attributes:
        taken: who chose the action of every step stored: r(andom), d(emonstrator), p(olicy).
    """

    def __init__(self, actors, **schedule):
        self.schedule, self.agent = schedule_of(**schedule), agent_of("none")
        self.replay = ShardedReplay(actors, 100 * actors, vector_size=2, action_size=2, gamma=0.9, n_step=1, seed=2)
        self.parameters = os.memfd_create("test")
        self.taken = ""
        self.begin()

    def begin(self):
        self.puppets = [Puppet() for _ in self.replay.shards]
        fleet = SimpleNamespace(remotes=self.puppets, parameters=self.parameters)
        self.away = ActorPool(self.schedule, fleet, self.agent, self.replay)
        store = self.away._store

        def note(shard, episode, transition, since):
            self.taken += transition.chosen.acting.value[0]
            return store(shard, episode, transition, since)

        self.away._store = note
        self.hear()

    def resume(self):
        saved = self.away.state_dict()
        self.begin()
        self.away.load_state_dict(saved)
        self.hear()

    def hear(self):
        """Let the collector hear all that was said."""
        while self.away.step < self.schedule.steps:
            try:
                if self.away.collect() is None:
                    return
            except SimulatorError:
                pass

    def evaluate(self):
        """An actor's fault of before may be heard instead."""
        with contextlib.suppress(SimulatorError):
            self.away.evaluate(1, lambda: False, None)
        self.hear()

    def answer(self, place, how="step"):
        self.puppets[place].answer(how)
        self.hear()

    def end_with(self, place):
        """That actor takes all the steps that are left."""
        while self.away.step < self.schedule.steps:
            self.answer(place)


@pytest.mark.parametrize("how", ["last", "fault", "death"])
def test_a_random_leave_that_is_void_is_given_again_when_later_leaves_are_out(how):
    stage = Stage(2, warmup=3, steps=6)
    stage.answer(0)  # begins: permits for two random actions
    stage.answer(1)  # begins: a permit for the third, and no more
    stage.answer(0, how)
    stage.end_with(1)
    assert stage.taken == "rrrppp"


def test_a_resume_takes_the_random_actions_that_are_left():
    stage = Stage(2, warmup=3, steps=6)
    stage.answer(0)
    stage.answer(1)
    stage.answer(1)
    assert stage.taken == "r"
    stage.resume()  # three permits were out
    stage.end_with(0)
    assert stage.taken == "rrrppp"


def test_an_evaluation_that_breaks_an_episode_off_loses_no_random_action():
    stage = Stage(1, warmup=3, steps=6)
    stage.answer(0)
    stage.answer(0)
    stage.evaluate()
    stage.end_with(0)
    assert stage.taken == "rrrppp"


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_to_nothing_and_when(seed):
    rng = np.random.default_rng(seed)
    stage = Stage(int(rng.integers(1, 5)), random_steps=7, warmup=16, steps=40)
    while stage.away.step < 40:
        what = rng.random()
        if what < 0.03:
            stage.resume()
        elif what < 0.06 and stage.taken:
            stage.evaluate()
        else:
            place = rng.choice([place for place, puppet in enumerate(stage.puppets) if puppet.asked])
            # None ever worked before the first step: a run whose simulators all fail then has ended.
            how = rng.choice(["step", "last", "fault", "death"], p=[0.7, 0.2, 0.05, 0.05])
            stage.answer(place, how if stage.away._worked else "step")
    assert stage.taken == "r" * 7 + "d" * 9 + "p" * 24
