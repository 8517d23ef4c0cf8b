"""Every logged metric, once: its name and what it is. The table in docs/training.md is made from this.

``python -m td3sweep.record.definitions`` prints the table. Capitals in a name stand for one word of several: NET
(`actor`, `critic`), PART (`cnn`, `memory`, `head`; `joint` is all of them), TERM (a term of the reward), KIND (of a
simulator's fault, ``td3sweep.errors``).
"""

from __future__ import annotations

import re

from td3sweep.errors import SIMULATOR_FAULTS

WORDS = {
    "NET": "(actor|critic)",
    "PART": "(cnn|memory|head|joint)",
    "TERM": "[^/]+",
    "KIND": f"({'|'.join(SIMULATOR_FAULTS)})",
}
DEFINITIONS = {
    "loss/critic": "loss that the two critics minimise together",
    "loss/actor": "loss that the actor minimises: -`q/actor`, and the penalty on pre-tanh outputs if there is one; "
    "with demonstrations it gives way to cloning by `cloning/share`",
    "cloning/distance": "mean squared distance of the actor's actions to what the demonstrator meant, where it acted",
    "cloning/share": "share of cloning in the actor's loss",
    "q/q1": "first critic on replayed actions",
    "q/q2": "second critic on replayed actions",
    "q/actor": "first critic on the actor's own actions, as the actor's loss reads it",
    "q/actor_max": "largest such value of the row, whatever its sign",
    "q/target": "the target y that both critics are trained on",
    "q/target_sd": "its standard deviation over the batch",
    "q/gap": "|`q/actor` - `q/q1`|: how far the actor is scored from what the critic knows",
    "q/twin_gap": "mean |Q1 - Q2|",
    "q/bias": "Q1 at the start of a finished episode less the discounted return that followed; positive is "
    "overestimation. An episode cut off by a time limit is completed by Q1 of its last observation",
    "td_error": "mean distance of the two critics from y",
    "grad/NET/PART/before": "L2 norm of the gradient before clipping",
    "grad/NET/PART/after": "the same after clipping",
    "grad/NET/max/after": "largest element after clipping (`clip=value`)",
    "clip/NET/binding": "share of updates in which the clip bound",
    "clip/NET/coefficient": "factor that it applied",
    "action/saturation": "share of actions with |a| > .99",
    "action/pre_tanh": "mean |pre-tanh| of the actor",
    "feature/NET": "mean L2 norm of the features that the network's head reads",
    "weight/NET/PART": "L2 norm of the weights, when the row is written",
    "lr/NET/PART": "learning rate that the optimiser holds",
    "gamma": "discount of one step that replay makes targets with",
    "nonfinite": "metrics of an update that were NaN or infinite",
    "reward/max": "largest |reward| of a step so far: it sets the bound on Q",
    "episode/return": "undiscounted return of a finished training episode",
    "episode/length": "its agent steps",
    "episode/success": "1 if it reached its goal",
    "episode/reward/TERM": "share of one term of the reward in its return",
    "eval/return": "undiscounted return of an evaluation: fixed seeds, no noise, no shaping",
    "eval/length": "agent steps of its episodes",
    "eval/success": "share of them that reached their goal",
    "eval/episodes": "how many they were",
    "eval/route_fraction": "share of the route driven",
    "divergence/nonfinite": "numbers of the row that were not finite",
    "divergence/d0": "faults that the wiring audit found at start",
    "divergence/d1": "|E Q| over 1.1 x the bound that rewards allow; above 1 fails",
    "divergence/d2": "distance of `q/actor` from `q/target` or from `q/q1` in allowances, the larger; above 1 fails",
    "divergence/d3": "weight of the models that explode, in the latest growth fit; above .95 may fail",
    "divergence/d4": "share of saturated actions while the actor's head gets no gradient, else 0; above .95 fails",
    "divergence/d5": "CUSUM of shortening episodes; 8 warns",
    "divergence/d6": "fall of the evaluations from their best, as a share of it; above .75 warns",
    "divergence/d7": "largest norm after clipping over its limit; above 1.001 fails",
    "divergence/q_growth_rate": "relative growth of the fitted gap per 1,000 steps, now",
    "divergence/length_trend": "Theil-Sen slope of the phase's episode lengths, steps per 1,000 steps",
    "replay/size": "transitions stored",
    "replay/trained": "transitions of the last batch, a memory's padding left out",
    "env/faults": "simulator faults survived",
    "env/faults/KIND": "those of one kind: "
    + "; ".join(f"`{kind}`, {text}" for kind, text in SIMULATOR_FAULTS.items()),
    "actors/staleness": "updates made between an action's choice and its storing, mean of the actions stored since the "
    "last row (`actors` above 0)",
    "actors/staleness_max": "the largest of them",
    "time/env_steps_per_s": "environment steps per second of acting and learning",
    "time/updates_per_s": "updates per second of learning",
    "time/eta_s": "seconds left",
}
_PATTERNS = [re.compile(re.sub("|".join(WORDS), lambda word: WORDS[word[0]], re.escape(name))) for name in DEFINITIONS]


def is_defined(name: str) -> bool:
    """Whether a logged name has a definition."""
    return any(pattern.fullmatch(name) for pattern in _PATTERNS)


def table() -> str:
    """The definitions as a Markdown table."""
    rows = [f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in DEFINITIONS.items()]
    return "\n".join(["| name | what |", "|---|---|", *rows])


if __name__ == "__main__":
    print(table())
