"""A sweep whose controller, worker, simulator or database is killed loses, doubles and mixes up nothing."""

import postgres_server
import pytest

from benchmarks.robustness.chaos import measure

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos")]


def failed(found):
    return [one for one in found["checks"] if not one["holds"]], found["log"]


def test_a_sweep_survives_the_death_of_all_that_it_consists_of():
    plan = ["worker", "controller", "simulator"]
    found = measure("local", "journal", trials=4, plan=plan, every=8.0, seed=0)
    assert found["kills"] == {"worker": 1, "controller": 1, "simulator": 1}
    assert failed(found) == ([], "")


@pytest.mark.skipif(postgres_server.missing() is not None, reason=str(postgres_server.missing()))
def test_a_sweep_survives_the_death_of_its_database():
    found = measure("local", "postgresql", trials=4, plan=["storage"], every=12.0, seed=0)
    assert found["kills"] == {"storage": 1}
    assert failed(found) == ([], "")
