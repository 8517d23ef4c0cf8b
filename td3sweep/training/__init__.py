"""The loop, what it is built from, what looks on, and what it saves."""
