"""How often the verdict on a log is right: real trainings, sound and broken in named ways."""
