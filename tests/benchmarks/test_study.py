"""The study's cells compose as they say, and a part's archive holds what its report reads and no more."""

import json
import sys
from pathlib import PurePosixPath

import pytest

from benchmarks.study import parts as study
from td3sweep.config.compose import compose_settings


@pytest.mark.slow
@pytest.mark.parametrize("part", study.PARTS)
def test_every_cell_is_a_command_that_composes(part):
    names = [cell.name for cell in study.PARTS[part]]
    assert len(set(names)) == len(names)
    for cell in study.PARTS[part]:
        settings = compose_settings([*cell.overrides, "seed=0"])
        assert settings.steps - settings.warmup == 1000
        assert settings.wiring.name == ("crossed" if part == "norms" else cell.name.rpartition(", ")[2])
        assert settings.hyperparams.batch_size in (16, 6, 64)


def test_an_archive_holds_what_a_report_reads_of_finished_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PACKED", tmp_path / "packed")
    for seed, finished in ((0, True), (1, False)):
        run = tmp_path / "runs" / "norms" / "a-cell" / f"seed-{seed}"
        (run / "checkpoints").mkdir(parents=True)
        for name in (*study.KEPT, "film.png", "checkpoints/step-1.pt"):
            (run / name).write_text(f"{sys.executable} {tmp_path}/runs/norms")
        (run / "summary.json").write_text(json.dumps({"finished": finished}))
    files = study.unpacked(study.pack("norms", tmp_path / "runs"))
    assert sorted(map(str, files)) == sorted(f"norms/a-cell/seed-0/{name}" for name in study.KEPT)
    assert files[PurePosixPath("norms/a-cell/seed-0/provenance.json")] == b"python runs/norms"


def test_packing_one_more_run_keeps_those_that_were_packed_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PACKED", tmp_path / "packed")
    for seed in (0, 1):
        run = tmp_path / f"runs-{seed}" / "norms" / "a-cell" / f"seed-{seed}"
        run.mkdir(parents=True)
        (run / "summary.json").write_text(json.dumps({"finished": True}))
        archive = study.pack("norms", tmp_path / f"runs-{seed}")
    study.pack("norms", tmp_path / "nothing")
    assert sorted(map(str, study.unpacked(archive))) == [f"norms/a-cell/seed-{seed}/summary.json" for seed in (0, 1)]
