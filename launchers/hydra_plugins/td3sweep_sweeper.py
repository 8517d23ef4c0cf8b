"""Hydra looks for sweepers below this namespace only; the sweeper itself is td3sweep.sweep."""

from hydra.plugins.sweeper import Sweeper


class OptunaSweeper(Sweeper):
    """``hydra/sweeper=optuna``. Everything is imported late: Hydra loads this file in every Hydra application here."""

    def setup(self, *, hydra_context, task_function, config):
        """Keep the composed configuration of the multirun; trials run in processes of their own."""
        self.config = config

    def sweep(self, arguments):
        """Search the space that ``arguments`` and ``space=`` describe."""
        from td3sweep.sweep.sweeper import sweep

        sweep(self.config, list(arguments))
