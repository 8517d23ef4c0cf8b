"""Is this run diverging, and since when? Pure state machines over numbers, and hooks that feed them."""
