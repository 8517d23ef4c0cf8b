"""What older measurements ran, said in full: the compositions from before the recipe became the default.

What stands on record is compared with the same run, whatever the default has become since.
"""

from __future__ import annotations

LEARNER = [  # of any environment
    "hyperparams=paper", "demonstrations=none", "clip=joint", "n_step=1", "trunk=null", "critic_only_updates=0",
    "precision=fp32", "updates_per_step=0.25", "steps=1600", "warmup=600", "eval_every=500", "eval_episodes=2",
    "eval_spread=false",
]  # fmt: skip
WORLD = ["env.speed_scale=30", "env.terminate=[collision,off_road,route_done]"]
STANDIN = [*WORLD, "env.vector=full", "env.steer_scale=1", "env.max_episode_steps=250", "reward.scale=1"]
PLAIN = [*LEARNER, *STANDIN]  # the default composition
FEATURES = ["recurrent.context=false", "recurrent.even=false"]
MEMORY = ["recurrent.sequence_length=10", "recurrent.burn_in=5", *FEATURES]  # of recurrent=gru48 and lstm256
RECIPE = ["precision=fp32", "eval_spread=false", "hyperparams.exploration_noise_steps=6000"]
DRIVE = ["experiment=drive", *RECIPE, *WORLD]
RACING = ["experiment=racing", *RECIPE]
