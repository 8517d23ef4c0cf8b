"""Replay memory that stores each frame once."""

from td3sweep.replay.batch import Batch
from td3sweep.replay.frames import FrameReplay
from td3sweep.replay.memory import Replay, Shape, Store
from td3sweep.replay.priority import LAP, PER, PrioritizedReplay
from td3sweep.replay.shards import ShardedReplay

__all__ = ["LAP", "PER", "Batch", "FrameReplay", "PrioritizedReplay", "Replay", "Shape", "ShardedReplay", "Store"]
