"""Logs of any tool, read into one form."""
