"""Progress on the terminal: a live bar where there is one, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

LINE_EVERY_S = 15.0


class ProgressReport:
    """Steps done of all, speed, time left and the latest numbers. A context manager."""

    def __init__(self, console: Console, total: int, done: int = 0) -> None:
        self._console = console
        self.total = total
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last_line = time.monotonic()
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.fields[phase]:>8}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}  {task.fields[eta]}  {task.fields[note]}"),
                console=console,
            )
            self._task = self._bar.add_task("", total=total, completed=done, phase="", speed="", eta="", note="")

    def __enter__(self) -> ProgressReport:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, *, step: int, phase: str, steps_per_s: float, eta_s: float | None, note: str) -> None:
        """Show that ``step`` steps are done."""
        speed = f"{steps_per_s:.1f} steps/s"
        eta = "time left: measuring" if eta_s is None else f"time left {format_duration(eta_s)}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, phase=phase, speed=speed, eta=eta, note=note)
        elif time.monotonic() - self._last_line >= LINE_EVERY_S or step >= self.total:
            self._last_line = time.monotonic()
            line = f"{phase:>8} {step}/{self.total} steps  {speed}  {eta}  {note}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def format_duration(seconds: float) -> str:
    """``75`` -> ``1:15``; ``3725`` -> ``1:02:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
