"""What a sweep is: everything that a worker on any machine needs to know, in one file of the sweep's directory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from td3sweep.config.compose import compose_settings
from td3sweep.config.saved import flatten
from td3sweep.config.settings import SweepSettings
from td3sweep.errors import UserError
from td3sweep.files import write_atomically
from td3sweep.sweep.space import Space, Value

FILE = "spec.json"
TRAIN = "td3sweep.sweep.trial:train"


@dataclass(frozen=True)
class Spec:
    """A sweep.

    Attributes:
        name: of its directory when it began; it is the study's and the W&B group's as well.
        space: name of the chosen ``space=``.
        words: key -> how it is swept.
        base: overrides that all trials share.
        seeds: of the runs of each trial.
        fixed: what all trials share, resolved (dotted key -> value): what makes two trials comparable.
        task: ``module:function`` that makes a score of a trial.
        search: how it is searched; may change from one session to the next, but for what the score depends on.
    """

    name: str
    space: str
    words: dict[str, str]
    base: list[str]
    seeds: list[int]
    fixed: dict[str, Any]
    search: SweepSettings
    task: str = TRAIN

    @property
    def directions(self) -> list[Literal["maximize"]]:
        """Optuna's: every objective is to be maximised."""
        return ["maximize"] * len(self.search.objectives)

    def settle(self, directory: Path) -> Spec:
        """Write it into the sweep's directory, and return it under the name that the sweep has there.

        Raises:
            UserError: as :meth:`check_same`.
        """
        name = directory.name
        if (directory / FILE).exists():
            old = load_spec(directory)
            self.check_same(old, directory)
            name = old.name  # the directory may have been renamed since
        settled = dataclasses.replace(self, name=name)
        settled.save(directory)
        return settled

    def numbers(self, space: Space, point: Mapping[str, Value], keys: Iterable[str]) -> dict[str, Any]:
        """The resolved values of these keys at a point: fixed, swept, or what a swept group's choice makes of them."""
        known = {**self.fixed, **{parameter.key: point[parameter.name] for parameter in space.parameters}}
        if not known.keys() >= set(keys):
            known = flatten(compose_settings([*self.base, *space.overrides(point)]))
        return {key: known[key] for key in keys}

    def save(self, directory: Path) -> None:
        """Write it into the sweep's directory."""
        write_atomically(directory / FILE, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    def check_same(self, old: Spec, directory: Path) -> None:
        """Refuse to mix two sweeps in one directory.

        Raises:
            UserError: the directory's sweep searches, fixes or scores something else; the line names the keys.
        """
        mine, theirs = self._identity(), old._identity()
        changed = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
        if changed:
            raise UserError(
                f"{', '.join(changed)}: the sweep in {directory} was begun with other values; repeat them "
                f"(see its {FILE}), or give another hydra.sweep.dir"
            )

    def _identity(self) -> dict[str, Any]:
        return {
            **self.fixed,
            **{f"sweep of {key}": word for key, word in self.words.items()},
            "sweep.seeds": self.seeds,
            "sweep.window": self.search.window,
            "sweep.objectives": list(self.search.objectives),
            "sweep.storage": self.search.storage,
        }


def load_spec(directory: Path) -> Spec:
    """Read the spec of a sweep's directory.

    Raises:
        UserError: there is none.
    """
    try:
        fields = json.loads((directory / FILE).read_text())
    except FileNotFoundError:
        raise UserError(f"{directory}: no sweep there (no {FILE}); give the directory of a sweep") from None
    return Spec(**{**fields, "search": SweepSettings(**fields["search"])})
