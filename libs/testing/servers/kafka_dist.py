"""Apache Kafka's jar files: fetched once with Maven into `.rookery/kafka/<version>/`."""

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from libs.testing.servers.process import ServerError

VERSION = "4.1.0"
ROOT = Path(__file__).resolve().parents[3]
JARS = ROOT / ".rookery" / "kafka" / VERSION
POM = ROOT / "deploy" / "kafka" / "pom.xml"


def jars() -> Path | None:
    """The folder of Kafka's jar files, None when they have not been fetched."""
    return JARS if JARS.is_dir() else None


def can_fetch() -> bool:
    """Whether Java and Maven are on the path."""
    return all(shutil.which(tool) for tool in ("java", "mvn"))


def fetch() -> Path:
    """Fetch the jar files unless they are there; safe when two runs do it at once.

    Blocks for the download. Raises ServerError when Maven fails.
    """
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with (JARS.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if JARS.is_dir():
            return JARS
        with tempfile.TemporaryDirectory(dir=JARS.parent) as scratch:
            made = Path(scratch) / "jars"
            done = subprocess.run(
                [
                    *("mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)),
                    f"-Dkafka.version={VERSION}",
                    *("dependency:copy-dependencies", f"-DoutputDirectory={made}"),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ServerError(f"Maven could not fetch Apache Kafka:\n{done.stdout[-2000:]}")
            made.rename(JARS)  # whole or not at all
    return JARS
