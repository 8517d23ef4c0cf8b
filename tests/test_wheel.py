"""The wheel holds everything: installed into a fresh environment outside the checkout, the main job runs from there."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from command import LAST_LINE, QUICK

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT]
    subprocess.run(pip, check=True, timeout=300)
    return next(folder.glob("td3sweep-*.whl"))


def test_it_holds_package_configuration_and_launchers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "td3sweep/conf/config.yaml",
        "hydra_plugins/td3sweep_sweeper.py",
        "td3sweep/conf/cnn/pooled.yaml",
        "td3sweep/launchers/carla/server.sh",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("tests/", "conf/", "launchers/"))]


def test_it_runs_outside_the_checkout(wheel, tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel]
    subprocess.run(pip, check=True, timeout=300)
    # The dependencies come from this environment; a path in a .pth file does not follow its editable installs.
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    (Path(site.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    where = subprocess.check_output(
        [python, "-c", "import td3sweep; print(td3sweep.__file__)"], text=True, cwd=tmp_path, env=env
    )
    assert where.startswith(str(venv))
    done = subprocess.run(
        [venv / "bin" / "td3sweep", *QUICK, "steps=80", "hydra.run.dir=here"],
        check=False, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert (tmp_path / "here" / "summary.json").exists()
