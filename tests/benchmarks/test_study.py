"""The study's cells compose as they say, and a part's archive holds what its report reads and no more."""

import tarfile

import pytest

from benchmarks import study
from td3sweep.compose import compose_settings


@pytest.mark.slow
@pytest.mark.parametrize("part", study.PARTS)
def test_every_cell_is_a_command_that_composes(part):
    names = [cell.name for cell in study.PARTS[part]]
    assert len(set(names)) == len(names)
    for cell in study.PARTS[part]:
        settings = compose_settings([*cell.overrides, "seed=0"])
        assert settings.steps - settings.warmup == 1000
        assert settings.wiring.name == ("crossed" if part == "norms" else cell.name.rpartition(", ")[2])
        assert settings.hyperparams.batch_size in (16, 60, 64)


def test_an_archive_holds_what_a_report_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PACKED", tmp_path / "packed")
    run = tmp_path / "runs" / "norms" / "a-cell" / "seed-0"
    (run / "checkpoints").mkdir(parents=True)
    for name in (*study.KEPT, "film.png", "checkpoints/step-1.pt"):
        (run / name).write_text(name)
    with tarfile.open(study.pack("norms", tmp_path / "runs")) as tar:
        assert sorted(tar.getnames()) == sorted(f"norms/a-cell/seed-0/{name}" for name in study.KEPT)
