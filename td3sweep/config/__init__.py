"""Settings, each said once, and Hydra's door to them."""
