"""A log whose reader is not installed: one line says what to install."""

from torch.utils.tensorboard import SummaryWriter


def test_without_tensorboard_one_line_says_what_to_install(tmp_path, refused, without):
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("q1", 1.0, 1)
    without("tensorboard")
    line = refused(tmp_path)
    assert "pip install tensorboard" in line
