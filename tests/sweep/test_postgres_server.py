"""Several processes share a study in a real PostgreSQL, which dies and comes back."""

import pytest

pytestmark = pytest.mark.slow
optuna = pytest.importorskip("optuna")
pytest.importorskip("psycopg")


def test_a_study_survives_the_servers_death(postgres):
    study = optuna.create_study(study_name="s", storage=postgres.url)
    study.tell(study.ask(), 1.5)
    postgres.restart()
    again = optuna.load_study(study_name="s", storage=optuna.storages.RDBStorage(postgres.url))
    assert [trial.value for trial in again.trials] == [1.5]
