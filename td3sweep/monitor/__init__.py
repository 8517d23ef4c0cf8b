"""Is this run diverging, and since when? Pure state machines over numbers; nothing here reads a network."""
