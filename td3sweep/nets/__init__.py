"""Image encoders, memory and heads: plain `torch.nn` modules that know nothing of TD3."""

from td3sweep.nets.cnn import ImageCNN, NatureCNN, PooledCNN
from td3sweep.nets.heads import PolicyHead, TwinQHead
from td3sweep.nets.memory import GRUMemory, LSTMMemory, Memory, NoMemory, build_memory

__all__ = [
    "GRUMemory",
    "ImageCNN",
    "LSTMMemory",
    "Memory",
    "NatureCNN",
    "NoMemory",
    "PolicyHead",
    "PooledCNN",
    "TwinQHead",
    "build_memory",
]
