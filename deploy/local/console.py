"""What the terminal shows: progress, and the lines of the logs that tell of a problem."""

import json
import re
import shutil
from pathlib import Path

from rich.console import Console
from rich.markup import escape

_COLOURS = ("cyan", "magenta", "blue", "green", "yellow", "bright_cyan", "bright_magenta")
_SERIOUS = {"error": "red", "critical": "bold red"}
# How servers that do not log JSON mark a line: PostgreSQL, the broker, Envoy, Java.
_MARK = re.compile(r"\b(FATAL|PANIC|CRITICAL|ERROR)\b|\[(error|critical)\]")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LINES_A_LOOK = 5
_LOG_LIMIT = 50_000_000

console = Console(highlight=False, soft_wrap=True)


class Tails:
    """Follows the logs and prints their problems, a few at a time; the rest stays in the file."""

    def __init__(self) -> None:
        """Follow nothing yet."""
        self._seen: dict[str, tuple[Path, int]] = {}

    def follow(self, name: str, log: Path) -> None:
        """Print from now on what is added to `log`; an overlong one begins anew."""
        _trim(log)
        self._seen[name] = (log, log.stat().st_size if log.exists() else 0)

    def look(self) -> None:
        """Print the problems logged since the last look."""
        for number, (name, (log, seen)) in enumerate(self._seen.items()):
            fresh, end = _read(log, seen)
            self._seen[name] = (log, 0 if _trim(log) else end)
            problems = [shown for line in fresh if (shown := _problem(line))]
            colour = _COLOURS[number % len(_COLOURS)]
            for shown in problems[:_LINES_A_LOOK]:
                console.print(f"[{colour}]{name:>10}[/] {shown}")
            if len(problems) > _LINES_A_LOOK:
                rest = len(problems) - _LINES_A_LOOK
                console.print(f"[{colour}]{name:>10}[/] [dim]and {rest} more in {log}[/]")


def _read(log: Path, offset: int) -> tuple[list[str], int]:
    try:
        if log.stat().st_size < offset:  # begun anew
            offset = 0
        with log.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), offset + len(whole)


def _problem(line: str) -> str | None:
    """The line as it is to be shown, None when it tells of no problem."""
    try:
        entry = json.loads(line)
        level = entry.get("level", "")
    except (ValueError, AttributeError):
        plain = _ANSI.sub("", line)
        return f"[red]{escape(plain)}[/]" if _MARK.search(plain) else None
    if level not in _SERIOUS:
        return None
    event = entry.pop("event", "")
    for known in ("level", "timestamp", "service", "request_id", "trace_id", "exception"):
        entry.pop(known, None)
    rest = " ".join(f"{name}={value}" for name, value in entry.items())
    return f"[{_SERIOUS[level]}]{escape(str(event))}[/] [dim]{escape(rest[:300])}[/]"


def _trim(log: Path) -> bool:
    """Put an overlong log aside (one generation); its writer appends and goes on at the front."""
    if not log.exists() or log.stat().st_size < _LOG_LIMIT:
        return False
    shutil.copyfile(log, log.with_name(log.name + ".1"))
    with log.open("r+b") as file:
        file.truncate(0)
    return True
