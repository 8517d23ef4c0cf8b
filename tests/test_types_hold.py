"""A type check sees the mistakes that are made where parts meet: each is put in, and must be flagged at its line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import td3sweep

PACKAGE = Path(td3sweep.__file__).parent
LEARNER, TRAINER = "assemble/learner.py", "training/build.py"
MISTAKES = [  # file, what stands there, what is put in its place, where it must be noticed (None: there)
    (LEARNER, "cnn=settings.cnn.name,", "cnn=settings.recurrent.name,", None),
    (LEARNER, 'precision="fp32" if', 'precision="fp16" if', None),
    (TRAINER, "        agent=agent,", "        agent=replay,", None),
    (TRAINER, "return InProcess(schedule, env, agent, replay,", "return InProcess(schedule, env, replay, agent,", None),
    (TRAINER, "recorder.say(told)", "recorder.tell(told)", None),
    ("training/trainer.py", "self.replay.sample(", "self.replay.draw(", None),
    ("collect/episode.py", "env.step(action)", "env.play(action)", None),
    (
        "names.py",
        'Literal["nature", "pooled"]',
        'Literal["nature", "pooled", "big"]',
        ("agent/build.py", "def cnn_class"),
    ),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_mistake_at_a_seam_is_flagged(tmp_path):
    shadows: dict[str, str] = {}
    for file, right, wrong, _ in MISTAKES:
        text = shadows.get(file) or (PACKAGE / file).read_text()
        assert text.count(right) == 1, (file, right)
        shadows[file] = text.replace(right, wrong)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache")]
    for number, (file, text) in enumerate(shadows.items()):
        (tmp_path / f"{number}.py").write_text(text)
        command += ["--shadow-file", str(PACKAGE / file), str(tmp_path / f"{number}.py")]
    said = subprocess.run(command, check=False, cwd=PACKAGE.parent, capture_output=True, text=True).stdout
    flagged = []
    for file, line in re.findall(r"^td3sweep/(\S+?):(\d+): error", said, re.MULTILINE):
        text = shadows.get(file) or (PACKAGE / file).read_text()
        flagged.append((file, text.splitlines()[int(line) - 1]))
    for file, _, wrong, elsewhere in MISTAKES:
        where, what = elsewhere or (file, wrong.strip())
        assert any(at == where and what in line for at, line in flagged), (file, wrong, said)
