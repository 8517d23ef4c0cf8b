"""What the series of other programs mean."""

import pytest

from td3sweep.errors import UserError
from td3sweep.logs.names import guess, mapping, plain


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("train/actor_loss", "loss/actor"),  # stable-baselines3
        ("train/critic_loss", "loss/critic"),
        ("rollout/ep_len_mean", "episode/length"),
        ("rollout/ep_rew_mean", "episode/return"),
        ("eval/mean_reward", "eval/return"),
        ("time/total_timesteps", "step"),
        ("losses/qf1_values", "q/q1"),  # CleanRL
        ("losses/qf2_values", "q/q2"),
        ("losses/qf_loss", "loss/critic"),
        ("losses/actor_loss", "loss/actor"),
        ("charts/episodic_return", "episode/return"),
        ("charts/episodic_length", "episode/length"),
        ("eval/episodic_return", "eval/return"),
        ("AverageQ1Vals", "q/q1"),  # Spinning Up
        ("LossPi", "loss/actor"),
        ("TotalEnvInteracts", "step"),
        ("AverageTestEpRet", "eval/return"),
        ("train/actor_q_mean", "q/actor"),  # hand-written loops
        ("Target Q Mean", "q/target"),
        ("q/target", "q/target"),  # ours
        ("charts/SPS", None),
        ("train/learning_rate", None),
        ("losses/qf1_loss", "loss/critic"),  # where there is no qf_loss, of which it is one critic's share
        ("eval/mean_ep_length", None),
        ("eval/actor_loss", None),
        ("critic_gradient_norm", None),  # of which norm nobody knows
    ],
)
def test_a_name_is_guessed_where_its_meaning_is_sure(tag, name):
    assert guess(tag) == name


def test_plain_names():
    assert plain("Losses/QF1 Values ") == "losses/qf1_values"


def test_the_likeliest_of_several_tags_is_taken_and_our_own_name_before_all():
    assert mapping(["train/q1", "qf1_values"], {}) == {"qf1_values": "q/q1"}
    assert mapping(["qf1_values", "q/q1"], {}) == {"q/q1": "q/q1"}


def test_what_the_user_names_is_taken_whatever_else_is_there():
    found = mapping(["losses/qf1_values", "weird"], {"weird": "q/q1"})
    assert found == {"weird": "q/q1"}


def test_an_override_of_a_tag_that_is_not_there_names_what_is():
    with pytest.raises(UserError, match=r"--map qf1_value=q/q1: the log has no series qf1_value; it has losses/qf1_v"):
        mapping(["losses/qf1_values", "charts/SPS"], {"qf1_value": "q/q1"})


def test_an_override_to_a_name_that_no_detector_knows():
    with pytest.raises(UserError, match=r"q1_is_this is no series of ours; choose from step, loss/critic"):
        mapping(["a"], {"a": "q1_is_this"})
