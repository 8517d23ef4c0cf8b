"""Sections of the documentation that a benchmark writes, between two comments that name it."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
CARLA = DOCS / "carla.md"


def replace_section(name: str, text: str, page: Path) -> None:
    """Put ``text`` between ``<!-- NAME -->`` and ``<!-- /NAME -->``; raises ValueError where they are missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, begun, rest = page.read_text().partition(begin)
    _, ended, tail = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"{page}: no section between {begin} and {end}")
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
