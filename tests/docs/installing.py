"""What `pip install` finds while a page is played: a wheel of this project, and no network.

A reader's virtual environment has nothing. Here one is made in which everything that this project
depends on is there already, and the project isn't.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.docs.pages import ROOT

SITE = Path(sysconfig.get_path("purelib"))


def environment(folder: Path) -> dict[str, str]:
    """Make such an environment; the variables by which a shell is in it."""
    venv.create(folder / "venv", with_pip=False)
    wheels = folder / "wheels"
    _build_wheel(wheels)
    _show_dependencies(folder)
    programs = folder / "venv" / "bin"
    return {
        "PATH": os.pathsep.join([str(programs), sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "PIP_PYTHON": str(programs / "python"),
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _build_wheel(folder: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*build, "--directory", str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )


def _show_dependencies(folder: Path) -> None:
    """Have the environment see what ours has, but for the project itself."""
    seen = folder / "dependencies"
    seen.mkdir()
    for path in SITE.iterdir():
        if not path.name.lstrip("_").startswith("squid_mesh"):
            (seen / path.name).symlink_to(path)
    _stand_in_for_erlpack(seen)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{seen}\n", encoding="utf-8")


def _stand_in_for_erlpack(seen: Path) -> None:
    """Our environment has this module by another name: see `override-dependencies`."""
    facts = seen / "erlpack-1.0.0.dist-info"
    facts.mkdir()
    text = "Metadata-Version: 2.1\nName: erlpack\nVersion: 1.0.0\n"
    (facts / "METADATA").write_text(text, encoding="utf-8")
