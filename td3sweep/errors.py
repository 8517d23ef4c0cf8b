"""The kinds of fault a run can report, and the exit code each becomes."""

SIMULATOR_FAULTS = {
    "crash": "the server's process ended",
    "hang": "the server did not answer a tick in time",
    "load": "a map was not loaded in time",
    "start": "the server did not become ready",
    "frame": "a camera frame was lost or late",
    "port": "the server's port was taken when it was started again",
    "client": "the client library took its process down, or froze it",
    "other": "anything else",
}
"""Kinds of :class:`SimulatorError`, as they are counted."""


class UserError(Exception):
    """A fault in what the user asked: one line that names the key, the value and the remedy (exit code 2)."""

    exit_code = 2


def may_not_read(path: object) -> UserError:
    """The refusal of a file or folder whose permissions shut us out."""
    return UserError(f"{path}: you may not read it; give yourself read permission (chmod -R u+rX)")


class SimulatorError(Exception):
    """A fault of the machine or of the simulator, which the same command may survive later (exit code 1).

    Attributes:
        kind: one of ``SIMULATOR_FAULTS``.
    """

    exit_code = 1

    def __init__(self, message: str = "", kind: str = "other") -> None:
        super().__init__(message)
        self.kind = kind


class DirectoryInUseError(SimulatorError):
    """Another process trains in the run's directory: asked for twice (exit code 2), though it may work later.

    A sweep takes it for what the machine did, not for what the user asked: one attempt fails, not the whole sweep.
    """

    exit_code = 2
