"""From the names that other programs give their series to ours, by a table of guesses that the user may override."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from td3sweep.errors import UserError

STEP = "step"
EP_RETURN, EP_LENGTH, EVAL_RETURN = "episode/return", "episode/length", "eval/return"
EVAL_EPISODES, EVAL_SUCCESS, REWARD_MIN = "eval/episodes", "eval/success", "reward/min"

# Ours: what others call it, the likeliest first. A tag is compared whole, then by its last two parts, then by its last;
# case and signs do not count. stable-baselines3, CleanRL, Spinning Up, OpenAI baselines, RLlib, Tianshou, skrl, DrQ-v2,
# JAXRL, TD-MPC2, ML-Agents, rlkit, garage, rl_games, Acme, and hand-written loops: where the meaning is sure.
GUESSES: dict[str, tuple[str, ...]] = {
    STEP: (
        "env_step", "env_steps", "global_step", "total_timesteps", "TotalEnvInteracts", "num_timesteps", "timesteps",
        "timestep", "total_steps", "environment_steps", "timesteps_total", "num_env_steps", "num_env_steps_sampled",
        "TotalEnvSteps", "exploration/num steps total", "total/steps", "total_env_steps", "agent_steps", "actor_steps",
        "env_step_total", "step", "steps", "frame", "frames",
    ),
    "loss/critic": (
        "critic_loss", "qf_loss", "q_loss", "LossQ", "loss_q", "loss_critic", "value_loss_critic", "critic1_loss",
        "QF1 Loss", "qf1_loss", "q1_loss", "critic_1_loss", "critic/loss", "td_loss", "c_loss", "AverageQFunctionLoss",
        "QFunctionLoss", "loss/q", "q_func_loss", "huber_loss",
    ),
    "loss/actor": (
        "actor_loss", "LossPi", "loss_pi", "pi_loss", "loss_actor", "policy_loss", "actor/loss", "a_loss",
        "AveragePolicyLoss", "policy_gradient_loss",
    ),
    "q/actor": (
        "actor_q", "actor_q_mean", "q_actor", "actor_q_value", "actor_q_values", "q_pi", "mean_actor_q", "q_pi_mean",
        "actor/q", "policy_q", "q_policy", "reference_actor_Q_mean",
    ),
    "q/actor_max": ("actor_q_max", "q_actor_max", "max_actor_q", "q_pi_max"),
    "q/q1": (
        "qf1_values", "AverageQ1Vals", "q1_mean", "q1", "q1_values", "q1_value", "mean_q1", "critic_q1", "q1_avg",
        "AverageQVals", "mean_q", "q_values", "q_value", "Q1 (mean)", "Q1 Predictions Mean", "reference_Q_mean",
        "q_mean", "avg_q", "average_q", "q_avg", "mean_qvalue", "AverageQFunction",
        "critic_q", "q_critic", "critic/q1", "rollout/Q_mean", "q",
    ),
    "q/q2": (
        "qf2_values", "AverageQ2Vals", "q2_mean", "q2", "q2_values", "q2_value", "mean_q2", "critic_q2", "q2_avg",
        "Q2 (mean)", "Q2 Predictions Mean", "critic/q2",
    ),
    "q/target": (
        "target_q", "target_q_mean", "q_target", "q_target_mean", "target_q_values", "next_q_value", "td_target",
        "target_mean", "mean_target_q", "critic_target_q", "Target (mean)", "Q Targets Mean", "target_Q",
    ),
    "q/target_sd": ("target_q_std", "target_q_sd", "q_target_std", "q_target_sd", "target_std", "Q Targets Std"),
    "td_error": ("td_error", "td_error_mean", "mean_td_error", "td_errors"),
    "action/saturation": ("action_saturation", "saturation", "saturated_actions", "action_saturation_fraction"),
    "reward/max": ("max_abs_reward", "r_max", "abs_reward_max", "Instantaneous reward (max)"),
    REWARD_MIN: ("Instantaneous reward (min)",),
    EP_RETURN: (
        "episodic_return", "ep_rew_mean", "AverageEpRet", "EpRet", "episode_reward", "episode_return", "ep_reward",
        "ep_return", "train_episode_reward", "Total reward (mean)", "episode_reward_mean", "episode_return_mean",
        "returns_stat/mean", "Cumulative Reward", "rollout/return_history", "rollout/return", "return_mean",
        "exploration/Returns Mean", "AverageReturn", "rewards/step", "return", "r",
    ),
    EP_LENGTH: (
        "episodic_length", "ep_len_mean", "EpLen", "episode_length", "ep_length", "ep_len", "Total timesteps (mean)",
        "episode_len_mean", "lens_stat/mean", "Episode Length", "rollout/episode_steps", "episode_lengths/step",
        "exploration/path length Mean", "episode_lengths", "length_mean", "l",
    ),
    EVAL_RETURN: (
        "AverageTestEpRet", "TestEpRet", "eval_return", "eval_reward", "eval_mean_reward", "test_return",
        "evaluation_return", "eval_episodic_return", "eval_episode_reward", "eval_episode_return", "test_reward",
    ),
    EVAL_SUCCESS: ("eval_success", "eval_success_rate", "success_rate_eval"),
}  # fmt: skip
EVALUATION_HEADS = {"eval", "evaluation", "test", "val", "validation", "evaluator"}
EVALUATION_TAILS = {
    "meanreward", "return", "reward", "episodicreturn", "meanreturn", "episodereward", "episodereturn", "returnsmean",
    "averagereturn", "averagereturns", "episoderewardmean", "episodereturnmean", "returnsstatmean", "rewardmean",
    "returnmean", "returns", "normalizedreturn",
}  # fmt: skip
SUCCESS_TAILS = {"success", "successrate", "meansuccess", "issuccess"}
FOREIGN = {  # parts of a tag below which a name means something else
    "grad", "grads", "gradient", "gradients", "gradnorm", "norm", "norms", "lr", "learningrate", "weights", "std",
    "var", "timers", "timing", "perf", "ema", "targetnetwork", "histogram",
}  # fmt: skip
KNOWN = {  # whose meaning is sure, and which no detector reads
    "walltime", "time", "timeelapsed", "fps", "sps", "nupdates", "updates", "epoch", "epochs", "iteration",
    "iterations", "trainingiteration", "episode", "episodes", "numepisodes", "learningrate", "lr", "entcoef",
    "alpha", "entcoefloss", "alphaloss", "temperature", "critic2loss", "qf2loss", "q2loss", "maxqvals", "minqvals",
    "stdqvals", "maxq", "minq", "q1max", "q1min", "q2max", "q2min", "targetmax", "targetmin", "episoderewardmax",
    "episoderewardmin", "maxepret", "minepret", "stdepret", "gamma", "discount", "seed", "totaltime", "timesteps",
    "totalrewardmax", "totalrewardmin", "totaltimestepsmax", "totaltimestepsmin", "instantaneousrewardmean",
    "explorationrate", "step", "qf1loss", "t", "entropy", "approxkl", "clipfraction", "cliprange",
    "explainedvariance", "entropyloss", "valueloss", "loss",
}  # fmt: skip
# Metrics of ours that no other program names so: taken as they are, and allowed after --map TAG=.
OURS = re.compile(r"(loss|q|grad|clip|action|episode|eval|reward|divergence|weight|feature|bias)/.+|td_error|nonfinite")
OTHER = re.compile(r"(^|[^a-z])(std|sd|var|min|max|median|count|num|norm)([^a-z]|$)")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def plain(tag: str) -> str:
    """``Losses/QF1 Values`` -> ``losses/qf1_values``: lower case, words joined by ``_``; wandb parts by dots."""
    parts = (re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", part).lower()).strip("_") for part in re.split("[/.]", tag))
    return "/".join(part for part in parts if part)


def squeeze(tag: str) -> str:
    """A name without case and signs: ``Q1 (mean)`` and ``q1_mean`` are one."""
    return re.sub("[^a-z0-9]", "", tag.lower())


_MEANING = {squeeze(alias): name for name, aliases in GUESSES.items() for alias in reversed(aliases)}


def _forms(tag: str) -> list[str]:
    """A tag as it may be known: whole, its last two parts, its last."""
    parts = [squeeze(part) for part in re.split("[/.]", tag) if squeeze(part)]
    return list(dict.fromkeys(["".join(parts), "".join(parts[-2:]), *parts[-1:]]))


def guess(tag: str) -> str | None:
    """Our name of a series, or None where its name says too little."""
    if OURS.fullmatch(tag) and tag in GUESSES:
        return tag
    heads = {squeeze(part) for part in re.split("[/.]", tag)[:-1]}
    forms = _forms(tag)
    if heads & EVALUATION_HEADS:
        if SUCCESS_TAILS & set(forms):
            return EVAL_SUCCESS
        return EVAL_RETURN if EVALUATION_TAILS & set(forms[-2:]) else None
    for form in forms:
        if form in _MEANING and (form == forms[0] or not heads & FOREIGN):
            return _MEANING[form]
    return None


def is_known(tag: str) -> bool:
    """Whether it is sure what a series is, though no detector reads it."""
    return bool(KNOWN & set(_forms(tag)))


def nearest(tag: str) -> str:
    """The name of ours that a tag is most like; empty where none is, or where it is another statistic of it."""
    if not tag.isascii() or OTHER.search(tag.lower()):
        return ""
    near = difflib.get_close_matches(squeeze(re.split("[/.]", tag)[-1]), _MEANING, 1, 0.6)
    return _MEANING[near[0]] if near else ""


def mapping(tags: Iterable[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """``{tag: our name}`` for every series that is named by the user, is ours already, or can be guessed.

    Of several tags with the same meaning the likeliest is taken; what the user names is taken always.

    Raises:
        UserError: ``overrides`` names a tag that the log lacks or a name that no detector knows.
    """
    tags = list(tags)
    names = list(overrides.values())
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"--map: two series cannot both be {twice}; name one of them")
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
    aliases = [squeeze(alias) for alias in GUESSES[name]]
    places = [aliases.index(form) for form in _forms(tag) if form in aliases]
    return 0 if tag == name else 1 + min(places, default=len(aliases))
