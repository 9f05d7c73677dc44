"""Peers are installed from their registries at first use, by locks that carry hashes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE / ".installed"
_NODE = 20


class Missing(Exception):
    """This machine lacks what the peer runs on; the text says what to install."""


def python(peer: str) -> Path:
    """The interpreter of the peer's own environment. Blocks; raises RuntimeError."""
    folder = INSTALLED / peer
    interpreter = folder / "bin" / "python"

    def install() -> None:
        uv = [sys.executable, "-m", "uv", "--quiet"]
        _run([*uv, "venv", "--clear", "--python", sys.executable, str(folder)])
        lock = str(HERE / peer / "requirements.txt")
        install = ["pip", "install", "--python", str(interpreter), "--require-hashes", "-r", lock]
        _run([*uv, *install])

    _once(folder, HERE / peer / "requirements.txt", install)
    return interpreter


def node(peer: str) -> Path:
    """The peer's program beside its installed packages. Blocks.

    Raises Missing, or RuntimeError when npm fails.
    """
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise Missing(f"install Node.js {_NODE} or newer with npm to measure it")
    major = int(_run(["node", "--version"]).lstrip("v").split(".")[0])
    if major < _NODE:
        raise Missing(f"it needs Node.js {_NODE} or newer, this one is {major}")
    folder = INSTALLED / peer

    def install() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / peer / name, folder)
        _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)

    _once(folder, HERE / peer / "package-lock.json", install)
    # Node finds packages from where the program stands.
    return Path(shutil.copy(HERE / peer / "program.mjs", folder))


def _once(folder: Path, lock: Path, install: Callable[[], None]) -> None:
    """Install unless that lock was installed whole before."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / ".installed-lock"
    if stamp.exists() and stamp.read_text() == digest:
        return
    if folder.exists():
        shutil.rmtree(folder)
    INSTALLED.mkdir(exist_ok=True)
    install()
    stamp.write_text(digest)


def _run(argv: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:4])} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout
