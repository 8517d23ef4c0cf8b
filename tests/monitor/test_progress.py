"""What returns say of learning, on series whose answer is plain."""

import pytest

from td3sweep.monitor.progress import POINTS, Learning, Track

RANDOM = [-100.0, -90.0, -110.0, -95.0, -105.0]


def learning(evaluations=(), training=(), random=(), successes=()):
    known = Learning()
    for track, values in ((known.evaluations, evaluations), (known.training, training), (known.random, random)):
        for value in values:
            track.add(value)
    for share in successes:
        known.success(share)
    return known.progress()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({}, "unknown"),
        ({"evaluations": range(4), "training": range(9)}, "unknown"),  # 5 and 10 tell
        ({"evaluations": range(10)}, "rose"),
        ({"evaluations": [5.0] * 10}, "flat"),
        ({"evaluations": [0.0] * 10, "random": [0.0] * 5}, "flat"),  # never rewarded
        ({"evaluations": range(10, 0, -1)}, "fell"),
        ({"training": range(20)}, "rose"),  # where no evaluation is logged
        ({"evaluations": [5.0] * 20, "training": range(20)}, "flat"),  # evaluations come first
        ({"evaluations": [5.0] * 19, "training": range(20)}, "rose"),  # where there are twenty, or one of both rose
        ({"evaluations": [-50.0, -52.0, -48.0, -51.0, -49.0], "random": RANDOM}, "rose"),  # better from the first on
        ({"evaluations": [-101.0, -99.0, -100.0, -98.0, -102.0], "random": RANDOM}, "flat"),
        ({"evaluations": [-300.0, -310.0, -290.0, -305.0, -295.0], "random": RANDOM}, "fell"),
        ({"evaluations": [*range(10), *[9.0] * 10, *[1.0] * 10]}, "lost"),
        ({"evaluations": [*range(10), *[9.0] * 10, *[6.0] * 10]}, "rose"),  # a third of it lost
        ({"training": [0.0, 1.0] * 5 + [1.0] * 40, "random": [0.0] * 9}, "rose"),  # of failures and successes
    ],
)
def test_what_returns_say(told, kind):
    assert learning(**told).kind == kind


@pytest.mark.parametrize(
    ("successes", "kind"),
    [
        ([1.0], "rose"),
        ([0.0, 0.5, 0.75], "rose"),  # the median of the newest three
        ([1.0, 1.0, 0.0, 0.0, 0.0], "flat"),
        ([0.0, 0.0], "rose"),  # too few: the returns decide
        ([0.25, 0.25, 0.25], "rose"),  # some, but not most: the returns decide
    ],
)
def test_successes_decide_where_they_are_known(successes, kind):
    assert learning(evaluations=range(10), successes=successes).kind == kind


def test_a_run_that_succeeds_has_learnt_though_its_returns_never_rose():
    """Shown how to drive, it is as good at its first evaluation as at its last."""
    assert learning(evaluations=[5.0] * 10).kind == "flat"
    assert learning(evaluations=[5.0] * 10, successes=[0.5]).kind == "rose"
    assert learning(evaluations=[5.0] * 10, successes=[0.4]).kind == "flat"


def test_a_track_of_any_length_is_means_of_neighbours():
    track = Track()
    for value in range(1000):
        track.add(value)
    assert len(track.points) <= POINTS
    assert track.width == 8  # 1,000 in groups of 8
    assert track.points[:2] == [3.5, 11.5]
    assert track.count == 1000


def test_all_of_it_is_saved_and_restored():
    one, other = Learning(), Learning()
    for value in range(500):
        one.training.add(value)
        one.evaluations.add(-value)
    one.random.add(3.0)
    one.success(0.25)
    other.load_state_dict(one.state_dict())
    for known in (one, other):
        known.training.add(7.0)
    assert other.state_dict() == one.state_dict()
    assert other.progress() == one.progress()
