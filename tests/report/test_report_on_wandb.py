"""The report on W&B, against a stand-in for its API: what was sent reads back with the same blocks; reading runs."""

import json

import pytest
from made_up_runs import ALARM, write_sweep
from wandb_stub import ENTITY, KEY, PROJECT, WandbStub

from td3sweep.errors import UserError
from td3sweep.record.wandb import WandbMirror
from td3sweep.report.findings import find
from td3sweep.report.frame import horizon
from td3sweep.report.load import load
from td3sweep.report.wandb_report import build, publish

pytestmark = pytest.mark.slow


@pytest.fixture
def stub(monkeypatch, tmp_path):
    import wandb

    wandb.teardown()  # it reads its environment once
    server = WandbStub()
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield server
    wandb.teardown()
    server.stop()


@pytest.fixture
def findings(tmp_path):
    return find([str(write_sweep(tmp_path / "sweep"))])


def kinds(blocks):
    """Blocks, and the panels in them, by their kind."""
    return [(type(one).__name__, [type(panel).__name__ for panel in getattr(one, "panels", [])]) for one in blocks]


def test_the_report_that_was_sent_reads_back_with_the_same_blocks(stub, findings, tmp_path):
    import wandb_workspaces.reports.v2 as wr

    said = publish(findings, (ENTITY, PROJECT), tmp_path / "report.html")
    assert said.startswith(f"W&B report: {stub.url}/{ENTITY}/{PROJECT}/reports/")
    (name,) = stub.views
    back = wr.Report.from_url(f"{stub.url}/{ENTITY}/{PROJECT}/reports/x--{name}")
    sent = build(findings, ENTITY, PROJECT)
    assert kinds(back.blocks) == kinds(sent.blocks)
    assert back.title == "wiring made the difference. (14 runs)"
    assert [one.text for one in back.blocks if hasattr(one, "text")] == [
        one.text for one in sent.blocks if hasattr(one, "text")
    ]
    panels = [name for _, names in kinds(back.blocks) for name in names]
    wanted = {"LinePlot", "ParallelCoordinatesPlot", "ParameterImportancePlot", "RunComparer", "BarPlot"}
    assert wanted <= set(panels)
    assert not stub.unknown


def test_without_a_network_the_same_report_is_kept(stub, findings, tmp_path):
    stub.stop()
    said = publish(findings, (ENTITY, PROJECT), tmp_path / "page.html")
    assert "not sent" in said
    assert "the same command send" in said
    kept = json.loads((tmp_path / "page.wandb.json").read_text())
    kinds_kept = [block["type"] for block in kept["spec"]["blocks"]]
    assert kinds_kept.count("panel-grid") == 4


def test_a_project_is_read_like_a_directory(stub, tmp_path):
    for seed, wiring in enumerate(("separate", "crossed")):
        mirror = WandbMirror(
            mode="online", directory=tmp_path / wiring, project=PROJECT, entity=ENTITY, group="g", name=wiring, tags=[],
            config={"seed": seed, "wiring": {"name": wiring}},
        )  # fmt: skip
        for step in range(30):
            q = 100.0 * step if wiring == "crossed" else 1.0
            row = {"q/actor": q, "q/q1": 1.0, "q/target": 1.0, "q/target_sd": 0.1}
            mirror.log({"env_step": step, "phase": "learning", **row})
        mirror.summarise({})
    runs = {run.name: run for run in load([f"wandb:{ENTITY}/{PROJECT}"])}
    assert runs.keys() == {"separate", "crossed"}
    assert {run.state for run in runs.values()} == {"finished"}
    assert runs["crossed"].config == {"seed": 1, "wiring.name": "crossed"}
    assert runs["crossed"].series["q/actor"][1].tolist() == [100.0 * step for step in range(30)]
    assert runs["crossed"].verdict == "diverging"
    assert runs["separate"].failed_at is None
    assert not stub.unknown


def test_runs_of_ours_end_as_their_summaries_say(stub, tmp_path):
    """The mirror closes every run in order, so that W&B calls all of them finished."""
    healthy, diverging = {"verdict": "healthy", "alarms": []}, {"verdict": "diverging", "alarms": [ALARM]}
    for name, steps, summary in (
        ("through", 1000, {"finished": True, "ended": "finished", **healthy}),
        ("left", 400, {"finished": False, "ended": "interrupted", **healthy}),
        ("before", 300, {"finished": False, **healthy}),  # summaries did not tell the ending then
        ("stopped", 600, {"finished": False, "ended": "stopped by the monitor", **diverging}),
        ("resumed", 500, {"finished": True, "ended": "finished", **healthy}),
    ):
        mirror = WandbMirror(
            mode="online", directory=tmp_path / name, project=PROJECT, entity=ENTITY, group="g", name=name, tags=[],
            config={"seed": 0},
        )  # fmt: skip
        for step in range(100, steps + 1, 100):
            mirror.log({"env_step": step, "phase": "learning", "q/actor": 1.0, "q/q1": 1.0})
        mirror.summarise({**summary, "env_steps": steps})
    del stub.exits[stub.named("resumed")]
    runs = {run.name: run for run in load([f"wandb:{ENTITY}/{PROJECT}"])}
    assert {name: run.state for name, run in runs.items()} == {
        "through": "finished",
        "left": "interrupted",
        "before": "interrupted",
        "stopped": "stopped by the monitor",
        "resumed": "unfinished",  # W&B says that it runs again
    }
    assert (runs["stopped"].verdict, runs["stopped"].failed_at) == ("diverging", 400)
    assert runs["stopped"].why == "ended at step 600 by d2"
    assert horizon(list(runs.values())) == 1000
    assert not stub.unknown


def test_a_project_that_cannot_be_read_is_one_line(stub):
    stub.stop()
    with pytest.raises(UserError, match="W&B cannot be read"):
        load([f"wandb:{ENTITY}/{PROJECT}"])
