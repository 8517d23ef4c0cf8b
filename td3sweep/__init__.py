"""td3sweep: TD3+CNN training for CARLA that says whether a run diverges or learns, and why."""

__version__ = "0.1.0"
