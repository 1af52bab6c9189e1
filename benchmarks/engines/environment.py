"""The environment of engines that wit-llm does not depend on, made on demand and laid over its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from measure import BENCH

FOLDER = BENCH / "peers" / "environment"
PYTHON = FOLDER / "bin" / "python"
REQUIREMENTS = Path(__file__).with_name("requirements")
# torch, transformers and numpy are those of wit-llm's own environment, whose versions pyproject.toml chooses.
_OVER = "import site; site.addsitedir({!r})\n"


class NotInstalledError(Exception):
    """Why an engine is not there."""


def install(peer: str) -> Path:
    """
    Install the packages of ``requirements/PEER.txt``, unless they are there.

    Returns:
        The Python that has them.

    Raises:
        NotInstalledError: pip could not; its last error.
    """
    wanted = REQUIREMENTS / f"{peer}.txt"
    done = FOLDER / f"{peer}.installed"
    if done.exists() and done.read_text() == wanted.read_text():
        return PYTHON
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
        _lay_over_ours()
    print(f"installing {peer} into {FOLDER}", file=sys.stderr)
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--requirement", str(wanted)]
    pip = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if pip.returncode:
        errors = [line.strip() for line in pip.stderr.splitlines() if "error" in line.lower()]
        raise NotInstalledError(errors[-1] if errors else f"pip ended with status {pip.returncode}")
    done.write_text(wanted.read_text())
    return PYTHON


def _lay_over_ours() -> None:
    command = [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site_packages = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    lines = [_OVER.format(path) for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
    (Path(site_packages) / "over.pth").write_text("".join(lines))
