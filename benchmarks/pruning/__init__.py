"""Whether stopping early pays."""
