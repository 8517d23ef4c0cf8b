"""Shows a sweep: ``python -m td3sweep.sweep DIRECTORY [--watch] [--json | --csv]``; it changes nothing."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from optuna.exceptions import StorageInternalError

from td3sweep.config.failures import Parser, refuse
from td3sweep.errors import UserError
from td3sweep.process.lease import is_alive
from td3sweep.sweep import results
from td3sweep.sweep.view import SlotView, SweepView

EVERY_S = 2.0
CONTROLLERS = "controllers/*.json"


def main() -> None:
    """Print a sweep's trials, its best one and what runs."""
    parser = Parser(prog="python -m td3sweep.sweep", description=__doc__)
    parser.add_argument("directory", type=Path, help="the sweep's directory")
    parser.add_argument("--watch", action="store_true", help="go on showing it until nothing runs any more")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="all of it, as sweep.json holds it")
    form.add_argument("--csv", action="store_true", help="one row a trial")
    try:
        options = parser.parse_args()
        if options.json:
            print(json.dumps(results.read(options.directory), indent=1))
        elif options.csv:
            results.frame(options.directory).to_csv(sys.stdout, index=False)
        else:
            show(options.directory, options.watch)
    except (UserError, StorageInternalError) as error:
        refuse(str(error), 2 if isinstance(error, UserError) else 1)


def show(directory: Path, watch: bool) -> None:
    """Print the sweep once, or follow it while one of its workers or controllers lives."""
    found, told = results.read(directory), set[int]()
    with SweepView(directory, "watching") as view:
        while True:
            running = [trial for trial in found["trials"] if trial["state"] == "RUNNING"]
            alive = [trial for trial in running if is_alive(directory / str(trial["first"]) / "worker.json")]
            ended = [t["number"] for t in found["trials"] if t["state"] in results.ENDED and t["number"] not in told]
            told.update(ended)
            slots = [SlotView(i, t["number"], directory / str(t["first"]), 0.0) for i, t in enumerate(alive)]
            view.show(found, slots, ended)
            if not watch or not (alive or any(map(is_alive, directory.glob(CONTROLLERS)))):
                break
            time.sleep(EVERY_S)
            found = results.read(directory)
    view.close(found, elsewhere=len(alive), why="")


if __name__ == "__main__":
    main()
