"""TensorBoard event files, read with TensorBoard's own record reader."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.logs.log import Log, NothingYetError, rows_by_step

RECORD_FRAME = 16  # bytes around each record: length, its checksum, the checksum of the data
GAMMA = re.compile(r"\|\s*gamma\s*\|\s*([0-9.eE+-]+)\s*\|")  # CleanRL writes its arguments as a Markdown table


def read_event_files(files: Iterable[Path], path: Path) -> Log:
    """Scalars of one run, written in one session or several.

    A record that was cut off ends its file: what came before is read and the rest is told of. Of values that several
    sessions logged for one step the last written is taken.

    Raises:
        UserError: tensorboard is not installed, or no file holds a whole event.
    """
    loader, event_type, to_array = _tensorboard()
    log = Log(path, "TensorBoard")
    values: dict[int, dict[str, float]] = {}
    records = 0
    for file in sorted(files, key=lambda one: one.name):  # the name begins with the time of creation
        whole = 0
        for record in loader(str(file)).Load():
            records += 1
            whole += len(record) + RECORD_FRAME
            _note(event_type.FromString(record), values, log, to_array)
        dropped = file.stat().st_size - whole
        if dropped > 0:
            log.notes.append(f"{file.name}: damaged or cut off after {whole} bytes; the last {dropped} bytes dropped")
    if records == 0:
        raise NothingYetError(
            f"{path}: no whole TensorBoard event in it; is it an event file, and was anything logged?"
        )
    log.rows = rows_by_step(values)
    return log


def _note(event: Any, values: dict[int, dict[str, float]], log: Log, to_array: Any) -> None:
    """Add one event's scalars to ``values``, and the discount where a table of arguments tells it."""
    for value in event.summary.value:
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            values.setdefault(event.step, {})[value.tag] = float(value.simple_value)
        elif kind == "tensor" and value.metadata.plugin_data.plugin_name == "scalars":
            values.setdefault(event.step, {})[value.tag] = float(to_array(value.tensor))
        elif kind == "tensor" and value.metadata.plugin_data.plugin_name == "text":
            found = GAMMA.search("\n".join(text.decode(errors="replace") for text in value.tensor.string_val))
            if found is not None:
                log.gamma = float(found[1])


def _tensorboard() -> tuple[Any, Any, Any]:
    """Record reader, event message, tensor converter."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError as error:
        raise UserError("tensorboard is not installed, and event files need it; pip install tensorboard") from error
    return RawEventFileLoader, Event, make_ndarray
