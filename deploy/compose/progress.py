"""Waits for a project's containers and says how far they are."""

import time

from deploy.compose.engine import Container, Engine, EngineError

_PATIENCE_SECONDS = 300.0
_LOG_LINES = 30


def wait_ready(engine: Engine, patience: float = _PATIENCE_SECONDS) -> None:
    """Return when every service is healthy and every job has ended well.

    Prints each as it gets there. Raises EngineError with the last lines of what went wrong, or of
    what is still missing after `patience` s in which nothing got there.
    """
    deadline = time.monotonic() + patience
    told: set[str] = set()
    while True:
        containers = engine.containers()
        waiting = [one for one in containers if not _is_there(engine, one)]
        for one in containers:
            if one not in waiting and one.id not in told:
                told.add(one.id)
                deadline = time.monotonic() + patience
                print(f"  {one.service:<24} {'done' if one.finished else 'healthy'}", flush=True)
        broken = [one for one in waiting if one.failed]
        if broken:
            raise EngineError(_reasons(engine, broken))
        if containers and not waiting:
            return
        if time.monotonic() > deadline:
            raise EngineError(_reasons(engine, waiting))
        time.sleep(1)


def _is_there(engine: Engine, container: Container) -> bool:
    if container.finished:
        return True
    if container.is_job or container.state != "running":
        return False
    # Empty where nothing is checked.
    return engine.check(container) in {"", "healthy"}


def _reasons(engine: Engine, containers: list[Container]) -> str:
    parts = []
    for one in containers:
        log = engine.logs(one, _LOG_LINES).rstrip()
        how = (
            f"{one.state}, exit code {one.exit_code}" if one.failed else f"{one.state}, not healthy"
        )
        indented = "\n".join(f"    {line}" for line in log.splitlines())
        parts.append(f"{one.service} ({how}) said last:\n{indented}")
    return "\n".join(parts)
