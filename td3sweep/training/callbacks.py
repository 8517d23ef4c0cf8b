"""What may look on while an agent trains: one base class, every method of which does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from td3sweep.collect.collector import Step
    from td3sweep.collect.episode import Episode
    from td3sweep.training.trainer import Trainer


class Callback:
    """Overrides what it wants to hear of; it reads the trainer, and may end the run with :meth:`Trainer.stop`.

    Callbacks are told in the order in which the trainer has them.
    """

    def on_start(self, trainer: Trainer) -> None:
        """What was saved is taken up, and the first step of this session comes next."""

    def on_step(self, trainer: Trainer, step: Step) -> None:
        """An environment step is stored; the updates that are due for it come next."""

    def on_episode(self, trainer: Trainer, episode: Episode) -> None:
        """A training episode has ended."""

    def on_log(self, trainer: Trainer, row: dict[str, float]) -> None:
        """A row of metrics is about to be written; numbers that are added to ``row`` are written with it."""

    def on_evaluation(self, trainer: Trainer, found: Mapping[str, float]) -> None:
        """The policy was evaluated; ``found`` is what :func:`td3sweep.collect.evaluation.evaluate` returns."""

    def on_save(self, trainer: Trainer, payload: dict[str, Any]) -> None:
        """A checkpoint is about to be written: what it is to keep goes into ``payload``, under a key of one's own."""

    def on_restore(self, trainer: Trainer, payload: Mapping[str, Any]) -> None:
        """A checkpoint is taken up, an older one may lack the key; ``trainer.step`` is known at :meth:`on_start`."""
