"""Performance measurements, each runnable on its own."""
