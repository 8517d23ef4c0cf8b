"""Processes, locks and signs of life: each once."""
