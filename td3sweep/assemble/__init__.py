"""Settings in, parts out: an environment, and a learner with its replay.

Each module is imported only when it is needed, so that a simulator starts before torch is loaded. The parts of a run
meet in :mod:`td3sweep.training.build`.
"""
