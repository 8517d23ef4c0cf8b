"""`python -m td3sweep.report` as a command: what it prints, what it writes, how it refuses."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_up_runs import write_sweep

from td3sweep.report.__main__ import main


def report(*arguments, cwd):
    command = [sys.executable, "-m", "td3sweep.report", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)


def test_the_page_and_one_paragraph(tmp_path):
    write_sweep(tmp_path / "sweep")
    done = report("sweep", "-o", "out/page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wiring made the difference. ")
    assert "14 finished of 14 runs" in done.stdout
    assert (tmp_path / "out" / "page.html").read_text().startswith("<!doctype html>")
    assert done.stderr == ""


@pytest.mark.slow
def test_json_alone_on_stdout_and_the_report_for_later(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    write_sweep(tmp_path / "sweep")
    done = report("sweep", "--json", "--wandb", "somebody/driving", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["named"] == ["wiring"]
    assert "report.wandb.json" in done.stderr
    kept = json.loads((tmp_path / "report.wandb.json").read_text())
    assert kept["project"] == {"name": "driving", "entityName": "somebody"}
    assert "made the difference" in json.dumps(kept)


@pytest.mark.parametrize("method", ["iterdir", "exists"])  # what a folder refuses without r, and without x
def test_a_folder_that_may_not_be_read_is_named_with_the_remedy(tmp_path, monkeypatch, capsys, method):
    locked = write_sweep(tmp_path / "sweep", seeds=1) / "1"
    sound = getattr(Path, method)

    def refuse(path):
        if path == locked if method == "iterdir" else path.parent == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return sound(path)

    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "-o", str(tmp_path / "page.html")])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err == f"td3sweep: {locked}: you may not read it; give yourself read permission (chmod -R u+rX)\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such file or directory"),
        ([], "required: DIR"),
        (["sweep", "--wandb", "driving"], "'driving' is not ENTITY/PROJECT"),
        (["wandb:driving"], "not a project; write wandb:ENTITY/PROJECT"),
        (["sweep", "-o", "sweep/0/seed-0/config.yaml/page.html"], "name a file in a folder you can write to"),
    ],
)
def test_refusals_are_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path / "sweep", seeds=1)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
