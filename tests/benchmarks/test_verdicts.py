"""The verdicts on the committed trainings are as good as docs/monitor.md says."""

import pytest

from benchmarks.verdicts import loop
from benchmarks.verdicts.__main__ import Judged, judged, shares
from benchmarks.verdicts.collect import read, wanted


def run(kind, verdict, *, learnt, sane=True, cause=""):
    return Judged("loop", kind, 1, learnt, sane, verdict, cause, None)


def test_the_rates_by_hand():
    found = shares(
        [
            run("none", "healthy", learnt=True),
            run("none", "diverging", learnt=True),
            run("crossed encoders", "diverging", learnt=False, cause="H6-like"),
            run("crossed encoders", "collapsed", learnt=False),
            run("dead actor", "learning", learnt=False),
            run("reward x1e4", "healthy", learnt=True, sane=False),
            run("PPO", "undetermined", learnt=False),
        ]
    )
    assert list(found.values()) == [(2, 5), (1, 5), (1, 2), (1, 2), (0, 2), (2, 5), (1, 7), (1, 2), (1, 1)]


def test_every_run_that_is_wanted_is_there():
    assert {(one["writer"], one["kind"], one["seed"]) for one in read()} == set(wanted())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_committed_trainings_are_judged_as_the_page_says():
    rates = shares([judged(one) for one in read() if one["seed"] % 2])
    failed, sound = rates["a failure, of sound runs"]
    assert (failed, sound) == (0, 26)
    assert rates["undetermined, of all"] == (0, 108)
    assert rates["healthy or learning, of runs that did not learn or whose Q is off"][0] <= 7
    assert rates["a failure, a warning or not learning, of broken runs"][0] >= 75
    assert rates["crossed wiring named, of crossed runs that were called failures"] == (3, 3)
    assert rates["crossed, of runs in which it was named"] == (3, 3)


def test_a_loop_breaks_where_it_is_told_to(monkeypatch):
    monkeypatch.setattr(loop, "STEPS", 60)
    monkeypatch.setattr(loop, "WARMUP", 50)
    monkeypatch.setattr(loop, "HALF_WAY", 55)
    for fault in loop.FAULTS:
        broken = loop.Loop(fault, 0)
        before = [weight.clone() for weight in broken.actor.parameters()]
        broken.run()
        still = all((a == b).all() for a, b in zip(before, broken.actor.parameters(), strict=True))
        assert still == (fault in ("actor frozen", "dead actor")), fault
        assert len(broken.replay) == 60
