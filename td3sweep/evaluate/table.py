"""An evaluation's totals as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from td3sweep.record.console import say

ROWS: tuple[tuple[str, str, float, str], ...] = (
    ("success", "success, %", 100.0, ".1f"),
    ("route_completion", "route completion, %", 100.0, ".1f"),
    ("return", "return, undiscounted", 1.0, ".2f"),
    ("length", "length, agent steps", 1.0, ".1f"),
    ("speed", "speed, m/s", 1.0, ".2f"),
    ("collisions_per_km", "collisions a km", 1.0, ".2f"),
    ("lane_invasions_per_km", "lane invasions a km (CARLA's sensor)", 1.0, ".1f"),
    ("lane_departures_per_km", "lane departures a km", 1.0, ".1f"),
    ("outside_lane", "way outside the lane, %", 100.0, ".2f"),
    ("jerk", "jerk, m/s^3 (RMS)", 1.0, ".2f"),
    ("comfort", "comfortable time, %", 100.0, ".1f"),
    ("driving_score/leaderboard_2.0", "driving score, as leaderboard 2.0", 1.0, ".1f"),
    ("driving_score/leaderboard_2.1", "driving score, as leaderboard 2.1", 1.0, ".1f"),
)


def print_table(result: Mapping[str, Any], console: Console) -> None:
    """Print the totals, the ends of the episodes, and what the driving score covers."""
    say(console, result["simulator"])
    who = result["policy"] if result["checkpoint"] is None else f"{result['policy']} {result['checkpoint']}"
    episodes = result["episodes"]
    table = Table(title=f"{who}, {len(episodes)} episodes", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for key, name, factor, form in ROWS:
        if (total := result["totals"].get(key)) is not None:
            value, low, high = (
                None if total[part] is None else format(factor * total[part], form) for part in ("value", "low", "high")
            )
            table.add_row(name, value or "none", f"{low} to {high}" if low is not None else "")
    console.print(table)
    ends: dict[str, int] = {}
    for episode in episodes:
        ends[episode["end"]] = ends.get(episode["end"], 0) + 1
    if set(ends) != {""}:
        say(console, "ends: " + ", ".join(f"{count} {end or 'other'}" for end, count in sorted(ends.items())))
        say(console, f"driving score: {result['driving_score']}")
    if "explain" in result:
        image, memory, head = (1e3 * result["explain"][key] for key in ("image_s", "memory_s", "memory_head_s"))
        say(
            console,
            f"explaining a moment takes {image:.1f} ms to the image, {memory:.1f} ms to the memory layer "
            f"({100 * memory / image:.1f} %), {head:.2f} ms to its units through the head alone "
            f"({100 * head / image:.2f} %)",
        )
    if result["faults"]:
        say(console, f"simulator faults survived: {result['faults']}")
