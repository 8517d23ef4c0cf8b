"""What a monitor has to say, in lines for people."""

from __future__ import annotations

from td3sweep.monitor.report import EXPLANATION, Report, next_step


def lines(report: Report) -> list[str]:
    """The verdict block: verdict, since when, evidence, whether more steps help and why, what was left out."""
    block = [f"verdict: {report.verdict} - {EXPLANATION[report.verdict]}"]
    if report.since is not None:
        block.append(f"since step {report.since}")
    if report.evidence:
        block += ["evidence:", *(f"  {line}" for line in report.evidence)]
    block.append(f"will more steps help? {report.more_steps_help}: {report.why}")
    block.append(f"next: {next_step(report)}")
    if report.missing:
        block += ["left out for want of data:", *(f"  {line}" for line in report.missing)]
    return block
