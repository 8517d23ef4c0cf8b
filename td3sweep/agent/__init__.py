"""TD3 on image stacks: networks, update rule, clipping and speed-ups, on plain tensors."""

from td3sweep.agent.build import build_td3
from td3sweep.agent.gradients import Clip
from td3sweep.agent.networks import Actor, Critic, Encoder
from td3sweep.agent.targets import MPGTarget, TargetRule, TD3Target
from td3sweep.agent.td3 import TD3

__all__ = ["TD3", "Actor", "Clip", "Critic", "Encoder", "MPGTarget", "TD3Target", "TargetRule", "build_td3"]
