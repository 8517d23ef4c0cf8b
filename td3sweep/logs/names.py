"""From the names that other programs give their series to ours, by a table of guesses that the user may override."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from td3sweep.errors import UserError

STEP = "step"
EP_RETURN, EP_LENGTH, EVAL_RETURN = "episode/return", "episode/length", "eval/return"
EVAL_EPISODES = "eval/episodes"

# Ours: what others call it, the likeliest first, written as `plain` gives it and without the part before a "/".
# stable-baselines3, CleanRL, Spinning Up and hand-written loops; a name is guessed only where its meaning is sure.
GUESSES: dict[str, tuple[str, ...]] = {
    STEP: (
        "env_step", "env_steps", "global_step", "total_timesteps", "totalenvinteracts", "num_timesteps", "timesteps",
        "timestep", "total_steps", "environment_steps", "step", "steps",
    ),
    "loss/critic": ("critic_loss", "qf_loss", "q_loss", "lossq", "loss_q", "loss_critic", "value_loss_critic"),
    "loss/actor": ("actor_loss", "losspi", "loss_pi", "pi_loss", "loss_actor", "policy_loss"),
    "q/actor": ("actor_q", "actor_q_mean", "q_actor", "actor_q_value", "actor_q_values", "q_pi", "mean_actor_q"),
    "q/actor_max": ("actor_q_max", "q_actor_max", "max_actor_q", "q_pi_max"),
    "q/q1": ("qf1_values", "averageq1vals", "q1_mean", "q1", "q1_values", "q1_value", "mean_q1", "critic_q1", "q1_avg"),
    "q/q2": ("qf2_values", "averageq2vals", "q2_mean", "q2", "q2_values", "q2_value", "mean_q2", "critic_q2", "q2_avg"),
    "q/target": (
        "target_q", "target_q_mean", "q_target", "q_target_mean", "target_q_values", "next_q_value", "td_target",
        "target_mean", "mean_target_q",
    ),
    "q/target_sd": ("target_q_std", "target_q_sd", "q_target_std", "q_target_sd", "target_std"),
    "td_error": ("td_error", "td_error_mean", "mean_td_error", "td_errors"),
    "action/saturation": ("action_saturation", "saturation", "saturated_actions", "action_saturation_fraction"),
    "reward/max": ("max_abs_reward", "r_max", "abs_reward_max"),
    EP_RETURN: (
        "episodic_return", "ep_rew_mean", "averageepret", "episode_reward", "episode_return", "ep_reward", "ep_return",
        "train_episode_reward", "r",
    ),
    EP_LENGTH: ("episodic_length", "ep_len_mean", "eplen", "episode_length", "ep_length", "ep_len", "l"),
    EVAL_RETURN: (
        "averagetestepret", "eval_return", "eval_reward", "eval_mean_reward", "test_return", "evaluation_return",
        "eval_episodic_return",
    ),
}  # fmt: skip
EVALUATION_HEADS = ("eval", "evaluation", "test", "val", "validation")
EVALUATION_TAILS = ("mean_reward", "return", "reward", "episodic_return", "mean_return", "episode_reward")
# Metrics of ours that no other program names so: taken as they are, and allowed after --map TAG=.
OURS = re.compile(r"(loss|q|grad|clip|action|episode|eval|reward|divergence|weight|feature|bias)/.+|td_error|nonfinite")


def plain(tag: str) -> str:
    """``Losses/QF1 Values`` -> ``losses/qf1_values``: lower case, words joined by ``_``; wandb parts by dots."""
    parts = (re.sub(r"[^a-z0-9]+", "_", part.lower()).strip("_") for part in re.split("[/.]", tag))
    return "/".join(part for part in parts if part)


def guess(tag: str) -> str | None:
    """Our name of a series, or None where its name says too little."""
    whole = plain(tag)
    head, _, tail = whole.rpartition("/")
    if head.rpartition("/")[2] in EVALUATION_HEADS:
        return EVAL_RETURN if tail in EVALUATION_TAILS else None
    for name, aliases in GUESSES.items():
        if tail in aliases or tag == name:
            return name
    return None


def mapping(tags: Iterable[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """``{tag: our name}`` for every series that is named by the user, is ours already, or can be guessed.

    Of several tags with the same meaning the likeliest is taken; what the user names is taken always.

    Raises:
        UserError: ``overrides`` names a tag that the log lacks or a name that no detector knows.
    """
    tags = list(tags)
    for tag, name in overrides.items():
        if tag not in tags:
            near = difflib.get_close_matches(tag, tags, 3, 0.4) or tags[:6]
            raise UserError(f"--map {tag}={name}: the log has no series {tag}; it has {', '.join(near)}")
        if name not in GUESSES and not OURS.fullmatch(name):
            raise UserError(f"--map {tag}={name}: {name} is no series of ours; choose from {', '.join(GUESSES)}")
    found = dict(overrides)
    taken = set(found.values())
    best: dict[str, tuple[int, str]] = {}
    for tag in tags:
        meaning = guess(tag)
        if meaning is None or tag in found or meaning in taken:
            continue
        likelihood = _rank(tag, meaning)
        if meaning not in best or likelihood < best[meaning][0]:
            best[meaning] = (likelihood, tag)
    return found | {tag: name for name, (_, tag) in best.items()}


def _rank(tag: str, name: str) -> int:
    """0 for our own name, then the place in the table."""
    tail = plain(tag).rpartition("/")[2]
    return 0 if tag == name else 1 + (GUESSES[name].index(tail) if tail in GUESSES[name] else 0)
