"""The command: what it prints, its exit codes, its refusals in one line, and following a live run."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from written_logs import described_rows, run_directory


@pytest.fixture
def exploded(tmp_path):
    return run_directory(tmp_path / "run", described_rows())


def test_the_verdict_block_and_the_chart(exploded, diagnose):
    code, out, err = diagnose(exploded)
    assert (code, err) == (0, "")
    assert out.startswith(f"{exploded} (run directory): 41 rows, 0 episodes, steps 1000 to 5000\nverdict: diverging")
    for text in ("since step 1", "FAIL d2 at step", "will more steps help? no: ", "left out", "d4: ", "• q/actor"):
        assert text in out
    assert "\x1b" not in out


def test_json_has_the_contracts_keys_first_and_then_the_reasons(exploded, diagnose):
    code, out, _ = diagnose(exploded, "--json")
    found = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert list(found)[:6] == ["verdict", "first_alarm_step", "alarms", "growth", "more_steps_help", "missing"]
    assert list(found)[6:] == ["why", "since", "next", "progress", "path", "run", "series", "unused", "notes"]
    alarm = ["detector", "step", "evidence", "level", "cause", "until"]
    assert all(list(found_alarm) == alarm for found_alarm in found["alarms"])
    assert list(found["growth"]) == ["model", "weights", "forecast", "series"]
    assert "d2" in {found_alarm["detector"] for found_alarm in found["alarms"] if found_alarm["cause"] == "H6-like"}
    assert "from td3sweep import audit" in found["next"]
    assert (found["verdict"], found["more_steps_help"]) == ("diverging", "no")


def test_json_holds_no_nan(tmp_path, diagnose):
    path = run_directory(tmp_path, [(step, {"q/actor": 1e308, "q/q1": 1.0}) for step in range(100, 3000, 100)])
    code, out, err = diagnose(path, "--json")
    assert code == 0, err
    json.loads(out, parse_constant=pytest.fail)


def test_a_picture(exploded, tmp_path, diagnose):
    code, _, err = diagnose(exploded, "-o", tmp_path / "picture.svg")
    assert code == 0, err
    assert "<svg" in (tmp_path / "picture.svg").read_text()


def test_an_override_and_the_discount(tmp_path, diagnose):
    (tmp_path / "a.csv").write_text("t,mystery\n" + "".join(f"{t},{t * 100}\n" for t in range(1, 9)))
    options = ["--map", "mystery=q/actor", "--map", "t=step", "--gamma", "0.9", "--r-max", "1", "--json"]
    code, out, err = diagnose(tmp_path / "a.csv", *options)
    assert code == 0, err
    assert ("d1", 3) in [(alarm["detector"], alarm["step"]) for alarm in json.loads(out)["alarms"]]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere.csv"], "nowhere.csv: no such file or directory; give a run directory"),
        ([], "the following arguments are required: PATH"),
        (["x", "--gamma", "1.5"], "--gamma: 1.5 must lie in [0, 1]"),
        (["x", "--gamma", "much"], "--gamma: invalid"),
        (["x", "--r-max", "0"], "--r-max: 0 must be a number above 0"),
        (["x", "--map", "q1"], "--map: 'q1' is not TAG=NAME"),
        (["x", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(arguments, text, refused):
    assert text in refused(*arguments)


def test_an_empty_folder(tmp_path, refused):
    assert "no log in it" in refused(tmp_path)


def test_a_picture_that_cannot_be_written(exploded, tmp_path, refused):
    assert "-o" in refused(exploded, "-o", tmp_path / "no" / "such" / "folder.png")
    assert "give a .png, .svg or .pdf" in refused(exploded, "-o", tmp_path / "picture.nonsense")


def test_without_matplotlib_one_line_says_what_to_install(exploded, tmp_path, refused, without):
    without("matplotlib")
    line = refused(exploded, "-o", tmp_path / "a.png")
    assert "pip install matplotlib" in line


def test_a_reader_that_leaves_early_is_no_fault(exploded):
    command = f"{sys.executable} -m td3sweep.diagnose {exploded} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def following(path, *options):
    return subprocess.Popen(
        # A background job, as the tests may be one, ignores SIGINT, and so would its children.
        ["env", "--default-signal=INT", sys.executable, "-m", "td3sweep.diagnose", str(path), "--watch", *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_watch_follows_a_live_run_from_its_first_moment_to_its_end(tmp_path):
    path = run_directory(tmp_path)
    process = following(path, "--json")
    try:
        assert process.stderr.readline().startswith(f"waiting: {path}: no series")
        with (path / "metrics.jsonl").open("a") as file:
            for step, row in described_rows()[:3]:
                file.write(json.dumps({"env_step": step, "phase": "learning", **row}) + "\n")
        assert json.loads(process.stdout.readline())["verdict"] == "undetermined"
        with (path / "metrics.jsonl").open("a") as file:
            for step, row in described_rows()[3:]:
                file.write(json.dumps({"env_step": step, "phase": "learning", **row}) + "\n")
        assert json.loads(process.stdout.readline())["verdict"] == "diverging"
        (path / "summary.json").write_text("{}")
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert json.loads(out)["verdict"] == "diverging"


def test_ctrl_c_ends_watching(exploded):
    process = following(exploded)
    try:
        assert process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")


def test_watching_what_is_not_there_is_refused(refused):
    assert "no such file or directory" in refused("nowhere", "--watch")
