"""Replay memory that stores each frame once."""

from td3sweep.replay.batch import Batch
from td3sweep.replay.frames import FrameReplay

__all__ = ["Batch", "FrameReplay"]
