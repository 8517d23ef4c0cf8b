"""An audit as a table for people and as JSON for scripts."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from td3sweep.doctor.audit import Audit

HOLDS = {True: "[bold red]yes[/]", False: "[green]no[/]", None: "[yellow]not measured[/]"}


def print_table(audit: Audit, console: Console, title: str) -> None:
    """Every hypothesis with its evidence, then the audit in one line."""
    table = Table(title=title, title_justify="left", show_lines=True)
    table.add_column("hypothesis", width=18)
    table.add_column("holds?")
    table.add_column("evidence", ratio=1)
    for finding in audit.findings:
        label = f"{finding.name}\n{finding.question}" if finding.name.startswith("H") else finding.question
        table.add_row(label, HOLDS[finding.holds], finding.evidence.replace("; ", "\n").replace("[", r"\["))
    console.print(table)
    console.print(audit.line, highlight=False)


def as_json(audit: Audit) -> str:
    """The audit as one JSON object; see :meth:`Audit.as_dict`."""
    return json.dumps(audit.as_dict(), indent=2)
