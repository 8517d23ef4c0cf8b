"""The servers that sweeps are tested on, real ones, on loopback."""

import postgres_server
import pytest
import slurm_cluster


@pytest.fixture(scope="session")
def slurm_session(tmp_path_factory):
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    cluster = slurm_cluster.SlurmCluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm(slurm_session, monkeypatch):
    """A Slurm without jobs, which this process and its children talk to. Use it with `xdist_group("slurm")`."""
    for name, value in slurm_session.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_session
    slurm_session.cancel_all()


@pytest.fixture
def postgres():
    """A PostgreSQL with an empty database."""
    if reason := postgres_server.missing():
        pytest.skip(reason)
    server = postgres_server.PostgresServer()
    try:
        yield server
    finally:
        server.remove()
