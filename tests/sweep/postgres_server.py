"""A real PostgreSQL on loopback: a cluster of its own in a directory of its own, run by the user `postgres`."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from ports import free_ports

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


def missing() -> str | None:
    """Why no PostgreSQL can be started here, or None."""
    if os.geteuid() != 0:
        return "a PostgreSQL of the tests' own is started by root as user postgres"
    if not BINARIES or shutil.which("runuser") is None:
        return "not installed: postgresql (apt-get install postgresql)"
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "no user postgres (apt-get install postgresql)"
    return None


class PostgresServer:
    """One server with an empty database `td3sweep`.

    Attributes:
        url: what Optuna opens.
    """

    def __init__(self) -> None:
        # Not below pytest's own directory: the user postgres may not look into that.
        self._directory = Path(tempfile.mkdtemp(prefix="td3sweep-postgres-"))
        shutil.chown(self._directory, "postgres", "postgres")
        (self._port,) = free_ports(1)
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/td3sweep"
        self._server: subprocess.Popen[bytes] | None = None
        self._as_postgres("initdb", "--pgdata=data", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        self.start()
        self._as_postgres("createdb", "--host=127.0.0.1", f"--port={self._port}", "td3sweep")

    def start(self) -> None:
        """Start it and wait until it answers; after a SIGKILL the old one's memory is in use for a moment."""
        deadline = time.monotonic() + 40
        while not self._answers():
            if self._server is None or self._server.poll() is not None:
                self._launch()
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL does not answer: {(self._directory / 'log').read_text()}")
            time.sleep(0.1)

    def _launch(self) -> None:
        options = [f"-p{self._port}", "-clisten_addresses=127.0.0.1", "-cunix_socket_directories=", "-cfsync=off"]
        with (self._directory / "log").open("ab") as output:
            # runuser would be its parent, and swallow a SIGKILL.
            self._server = subprocess.Popen(
                [BINARIES[-1] / "postgres", "-Ddata", *options],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user="postgres",
                group="postgres",
                extra_groups=[],
            )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all connections and the server tidily, SIGKILL as if the machine had died."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(40)
            self._server = None

    def restart(self) -> None:
        """Die and come back."""
        self.stop(signal.SIGKILL)
        self.start()

    def remove(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self._directory)

    def _answers(self) -> bool:
        ready = [BINARIES[-1] / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={self._port}"]
        return subprocess.run(ready, check=False).returncode == 0

    def _as_postgres(self, program: str, *arguments: str) -> None:
        subprocess.run(
            ["runuser", "-u", "postgres", "--", BINARIES[-1] / program, *arguments],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        )
