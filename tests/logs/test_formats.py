"""One table in every format that people bring: the numbers are the same, whatever holds them."""

import bz2
import gzip
import io
import json
import lzma
import sys
import zipfile

import numpy as np
import pytest

from td3sweep.errors import UserError
from td3sweep.logs import text
from td3sweep.logs.find import read
from td3sweep.logs.frame import read_frame
from td3sweep.logs.log import NothingYetError
from td3sweep.logs.table import MOST_ROWS

CSV = "step,critic_loss,q1\n100,2.5,-1.0\n200,,0.5\n300,nan,1.5\n"
ROWS = [(100, 2.5, -1.0), (200, None, 0.5), (300, "nan", 1.5)]
OBJECTS = [{"step": 100, "critic_loss": 2.5, "q1": -1.0}, {"step": 200, "q1": 0.5},
           {"step": 300, "critic_loss": float("nan"), "q1": 1.5}]  # fmt: skip


def zipped(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("log.csv", text)
    return data.getvalue()


def columns(text, delimiter):
    return "\n".join(delimiter.join(line.split(",")) for line in text.splitlines()) + "\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV.encode()),
        ("a.tsv", columns(CSV, "\t").encode()),
        ("bars.txt", columns(CSV, "|").encode()),
        ("semicolons.csv", columns(CSV, ";").replace(".", ",").encode()),
        ("marked.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("wide.csv", CSV.encode("utf-16")),
        ("wide_unmarked.csv", CSV.encode("utf-16-le")),
        ("latin.csv", CSV.replace("q1", "q1,Größe").replace("\n1", "\n1").encode("latin-1")),
        ("returns.csv", CSV.replace("\n", "\r\n").encode()),
        ("a.csv.gz", gzip.compress(CSV.encode())),
        ("a.csv.bz2", bz2.compress(CSV.encode())),
        ("a.csv.xz", lzma.compress(CSV.encode())),
        ("a.zip", zipped(CSV)),
        ("a.json", json.dumps(OBJECTS).encode()),
        ("lines.json", "".join(json.dumps(one) + "\n" for one in OBJECTS).encode()),
    ],
)  # fmt: skip
def test_a_format_changes_no_number(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    table = read_frame(tmp_path / name)
    assert table.numbers["step"].tolist() == [100.0, 200.0, 300.0]
    assert table.numbers["q1"].tolist() == [-1.0, 0.5, 1.5]
    assert table.given["critic_loss"].tolist() == [True, False, True]  # an empty cell is none, NaN is one
    assert table.numbers["critic_loss"][0] == 2.5
    assert np.isnan(table.numbers["critic_loss"][2])


def test_blanks_part_columns_too(tmp_path):
    (tmp_path / "a.txt").write_text("step   q1     loss\n100    1.5    2\n2000   2.5    3\n")
    table = read_frame(tmp_path / "a.txt")
    assert (table.numbers["step"].tolist(), table.numbers["loss"].tolist()) == ([100.0, 2000.0], [2.0, 3.0])


def test_an_object_of_arrays(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"step": [1, 2, 3], "q1": [0.5, None, 2.0], "name": "run"}))
    table = read_frame(tmp_path / "a.json")
    assert (table.numbers["step"].tolist(), table.given["q1"].tolist()) == ([1.0, 2.0, 3.0], [True, False, True])


def test_nested_objects_keep_their_path(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"info": {"learner": {"mean_q": 2.0}}, "steps": 1}]))
    assert read_frame(tmp_path / "a.json").names == ["info/learner/mean_q", "steps"]


def test_an_eval_callbacks_file_is_means_by_step(tmp_path):
    results = np.array([[1.0, 3.0], [5.0, 7.0]])
    np.savez(tmp_path / "evaluations.npz", timesteps=np.array([500, 1000]), results=results, ep_lengths=results * 10)
    log = read(tmp_path / "evaluations.npz")
    assert [row.values for row in log.rows] == [
        {"timesteps": 500.0, "eval/mean_reward": 2.0, "eval/mean_ep_length": 20.0},
        {"timesteps": 1000.0, "eval/mean_reward": 6.0, "eval/mean_ep_length": 60.0},
    ]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", type("Pipe", (), {"buffer": io.BytesIO(CSV.encode())}))
    text._PIPED.clear()
    assert len(read(text.STDIN).rows) == 3


def test_a_console_table_pasted_with_other_lines_between(tmp_path):
    rule = "-" * 17 + "\n"
    block = rule + "| train/ | |\n|    critic_loss | {} |\n| time/ | |\n|    total_timesteps | {} |\n" + rule
    (tmp_path / "out.log").write_text(
        "Using cpu device\n" + block.format(2.5, 100) + "a line\n" + block.format(3.5, 200)
    )
    table = read_frame(tmp_path / "out.log")
    assert table.numbers["train/critic_loss"].tolist() == [2.5, 3.5]
    assert table.numbers["time/total_timesteps"].tolist() == [100.0, 200.0]


def test_cells_that_are_no_numbers_are_counted(tmp_path):
    (tmp_path / "a.csv").write_text("step,q1\n1,2\n2,n/a\n3,4\n")
    table = read_frame(tmp_path / "a.csv")
    assert table.given["q1"].tolist() == [True, False, True]


def test_words_are_no_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("step,name,done\n1,a,True\n2,b,False\n")
    table = read_frame(tmp_path / "a.csv")
    assert (table.words["name"].tolist(), table.numbers["done"].tolist()) == (["a", "b"], [1.0, 0.0])


def test_a_long_table_is_thinned_to_the_last_values_of_its_stretches(tmp_path):
    count = 5 * MOST_ROWS
    lines = (f"{step},{step % 7},{'' if step % 1000 else step}" for step in range(count))
    (tmp_path / "a.csv").write_text("step,q1,episode_reward\n" + "\n".join(lines) + "\n")
    log = read(tmp_path / "a.csv")
    assert len(log.rows) == MOST_ROWS
    assert log.rows[0].values == {"step": 4.0, "q1": 4.0, "episode_reward": 0.0}  # the last of each series in five rows
    assert [row.values["episode_reward"] for row in log.rows if "episode_reward" in row.values] == [
        float(step) for step in range(0, count, 1000)
    ]
    assert f"{count:,} rows: the last value of every 5 is judged" in log.notes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.zip", b"PK\x03\x04 cut", "cannot be unpacked"),
        ("a.csv.gz", gzip.compress(CSV.encode())[:20], "cannot be unpacked"),
        ("a.npz", b"PK\x03\x04 cut", "numpy cannot read it"),
        ("a.parquet", b"PAR1 cut", "pyarrow cannot read it"),
        ("a.xlsx", b"PK\x03\x04 cut", "openpyxl cannot read it"),
        ("a.json", b"[1, 2", "neither JSON nor JSON lines"),
    ],
)
def test_a_damaged_file_gets_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read(tmp_path / name)


def test_an_archive_that_is_cut_off_far_behind_its_beginning(tmp_path):
    whole = "step,q1\n" + "".join(f"{step},{step * 0.37}\n" for step in range(50_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(whole.encode())[:-2000])
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(("name", "content"), [("a.json", b"[]"), ("a.csv", b"step,q1\n"), ("a.txt", b"\n\n")])
def test_an_empty_table_may_hold_more_in_a_moment(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NothingYetError):
        read(tmp_path / name)


@pytest.mark.parametrize(("module", "name"), [("pyarrow", "a.parquet"), ("openpyxl", "a.xlsx")])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, module, name):
    (tmp_path / name).write_bytes(b"anything")

    def missing(*_, **__):
        raise ImportError(module)

    monkeypatch.setattr("pandas.read_parquet", missing)
    monkeypatch.setattr("pandas.read_excel", missing)
    with pytest.raises(UserError, match=f"pip install {module}"):
        read_frame(tmp_path / name)
