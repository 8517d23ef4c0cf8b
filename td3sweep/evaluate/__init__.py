"""Evaluation: the trainer's own between episodes, and the protocol of ``python -m td3sweep.evaluate``."""

from td3sweep.collect.evaluation import FIRST_SEED, evaluate

__all__ = ["FIRST_SEED", "evaluate"]
