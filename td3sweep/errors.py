"""The two kinds of fault a run can report, and the exit code each becomes."""


class UserError(Exception):
    """A fault in what the user asked: one line that names the key, the value and the remedy (exit code 2)."""

    exit_code = 2


class SimulatorError(Exception):
    """A fault of the machine or of the simulator, which the same command may survive later (exit code 1)."""

    exit_code = 1
