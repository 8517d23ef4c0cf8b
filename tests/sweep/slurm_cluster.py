"""A real Slurm on loopback: munged, slurmctld and one slurmd with two stand-in GPUs, all in a directory of their own.

Debian's packages `slurm-wlm` and `munge`, root. Own ports, socket and key, so a system's Slurm is not disturbed and
several of these can run side by side. There is no accounting, as on many small clusters.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from ports import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
SLURM_CONF = """\
ClusterName=td3test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job is held until its old credential has expired, by default for two minutes.
AuthInfo=socket={directory}/munge.socket,cred_expire=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmdParameters=config_overrides
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
ReturnToService=2
KillWait=5
MinJobAge=300
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 CoresPerSocket=8 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
GRES_CONF = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


def missing() -> str | None:
    """Why no Slurm can be started here, or None."""
    if os.geteuid() != 0:
        return "a Slurm of the tests' own needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)} (apt-get install slurm-wlm munge)" if absent else None


class SlurmCluster:
    """The three daemons, as children of this process.

    Attributes:
        environment: what a process needs in its environment to talk to this Slurm.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"SLURM_CONF": str(directory / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool"):
            (directory / name).mkdir(parents=True)
        controller_port, node_port = free_ports(2)
        values = {"host": socket.gethostname(), "controller_port": controller_port, "node_port": node_port}
        (directory / "slurm.conf").write_text(SLURM_CONF.format(directory=directory, **values))
        (directory / "gres.conf").write_text(GRES_CONF)
        key = directory / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)

    def start(self) -> None:
        """Start all three and wait until the node takes jobs."""
        files = [f"--{name}={self.directory}/munge.{name}" for name in ("socket", "key-file", "log-file", "pid-file")]
        files = [part.replace("munge.key-file", "munge.key") for part in files]
        seed = f"--seed-file={self.directory}/munge.seed"
        self._run("munged", "--foreground", "--force", *files, seed)
        _wait_for((self.directory / "munge.socket").exists, "munged")
        self.start_controller()
        self._run("slurmd", "-D", "-f", self.environment["SLURM_CONF"])
        _wait_for(lambda: self.ask("sinfo", "--noheader", "--format=%T") in ("idle", "mixed"), "slurmd")

    def stop(self) -> None:
        """End what still runs, then the daemons, each by its process."""
        self.cancel_all()
        for name in ("slurmd", "slurmctld", "munged"):
            if daemon := self._daemons.pop(name, None):
                daemon.terminate()
                daemon.wait(20)
        self._end_forgotten()

    def _end_forgotten(self) -> None:
        """End what a slurmctld that lost its state no longer knew: processes with this cluster's environment."""
        mine = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if process.name != str(os.getpid()) and mine in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)

    def start_controller(self) -> None:
        self._run("slurmctld", "-D", "-f", self.environment["SLURM_CONF"])
        _wait_for(lambda: "UP" in (self.ask("scontrol", "ping") or ""), "slurmctld")

    def kill_controller(self) -> None:
        controller = self._daemons.pop("slurmctld")
        controller.kill()
        controller.wait()

    def wait_until_saved(self) -> None:
        """Return once slurmctld has written the present jobs to disk; it does so some seconds after a change."""
        state, now = self.directory / "state/job_state", time.time()
        _wait_for(lambda: state.exists() and state.stat().st_mtime > now, "slurmctld's saved state")

    def ask(self, *command: str) -> str | None:
        """A Slurm command's answer; None if it failed."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def state(self, job_id: str) -> str | None:
        return self.ask("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job_id}")

    def cancel_all(self) -> None:
        """End all jobs and wait until their processes are gone."""
        self.ask("scancel", "--user=root")
        _wait_for(lambda: self.ask("squeue", "--noheader") == "", "the end of all jobs")

    def _run(self, program: str, *arguments: str) -> None:
        with (self.directory / f"{program}.out").open("ab") as output:
            self._daemons[program] = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )


def _wait_for(true, what: str, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not there after {seconds:g} s")
        time.sleep(0.1)
