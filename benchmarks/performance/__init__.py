"""How fast: ratios within one run."""
