"""TensorBoard event files, damaged ones included."""

import pytest
from tensorboard.summary import Writer
from torch.utils.tensorboard import SummaryWriter

from td3sweep.errors import UserError
from td3sweep.logs.find import read


def events(path, values, **options):
    """An event file with the scalars ``[(tag, value, step)]``."""
    writer = SummaryWriter(str(path), **options)
    for tag, value, step in values:
        writer.add_scalar(tag, value, step)
    writer.close()
    return sorted(path.glob("*tfevents*"))[-1]


def test_scalars_of_one_step_are_one_row(tmp_path):
    events(tmp_path, [("losses/qf1_values", 2.5, 200), ("losses/qf1_values", 1.5, 100), ("charts/SPS", 50.0, 200)])
    log = read(tmp_path)
    assert [(row.step, dict(row.values)) for row in log.rows] == [
        (100, {"losses/qf1_values": 1.5}),
        (200, {"losses/qf1_values": 2.5, "charts/SPS": 50.0}),
    ]
    assert log.notes == []


def test_scalars_in_the_newer_format(tmp_path):
    writer = Writer(str(tmp_path))
    writer.add_scalar("q1", 2.5, 7)
    writer.close()
    [row] = read(tmp_path).rows
    assert (row.step, dict(row.values)) == (7, {"q1": 2.5})


def test_the_discount_is_found_in_a_table_of_arguments(tmp_path):
    writer = SummaryWriter(str(tmp_path))
    writer.add_text("hyperparameters", "|param|value|\n|-|-|\n|seed|1|\n|gamma|0.97|")
    writer.add_scalar("q1", 1.0, 1)
    writer.close()
    assert read(tmp_path).gamma == 0.97


def test_a_run_in_two_sittings_keeps_what_was_written_last(tmp_path):
    events(tmp_path, [("q1", 1.0, 100), ("q1", 2.0, 200)], filename_suffix=".first")
    first = next(tmp_path.glob("*.first"))
    first.rename(tmp_path / "events.out.tfevents.0000000001.host.first")
    events(tmp_path, [("q1", 20.0, 200), ("q1", 30.0, 300)])
    assert [(row.step, row.values["q1"]) for row in read(tmp_path).rows] == [(100, 1.0), (200, 20.0), (300, 30.0)]


def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path):
    file = events(tmp_path, [("q1", float(step), step) for step in range(50)])
    whole = file.read_bytes()
    before = events(tmp_path / "shorter", [("q1", float(step), step) for step in range(49)]).stat().st_size
    file.write_bytes(whole[:-7])
    log = read(file)
    assert [row.step for row in log.rows] == list(range(49))
    assert log.notes == [
        f"{file.name}: damaged or cut off after {before} bytes; the last {len(whole) - 7 - before} bytes dropped"
    ]


def test_a_file_with_a_damaged_byte_is_read_up_to_it(tmp_path):
    file = events(tmp_path, [("q1", float(step), step) for step in range(50)])
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    log = read(file)
    assert 15 < len(log.rows) < 30
    assert "bytes dropped" in log.notes[0]


@pytest.mark.parametrize("content", [b"this is no event file at all" * 9, b"\0" * 200])
def test_a_foreign_file(tmp_path, content):
    (tmp_path / "events.out.tfevents.1").write_bytes(content)
    with pytest.raises(UserError, match="no whole TensorBoard event in it"):
        read(tmp_path)
