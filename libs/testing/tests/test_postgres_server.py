"""A real PostgreSQL started, broken and started again."""

import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from libs.testing.servers import PortBusy, PostgresServer, ServerError, free_port
from libs.testing.servers.guard import still_alive
from libs.testing.servers.process import wait_until


def _add_row(server: PostgresServer) -> int:
    with psycopg.connect(server.url) as link:
        link.execute("create table if not exists t (n int)")
        link.execute("insert into t values (1)")
        row = link.execute("select count(*) from t").fetchone()
    assert row is not None
    return int(row[0])


def test_data_survives_a_kill_and_a_stop(fresh_postgres: PostgresServer) -> None:
    server = fresh_postgres
    assert _add_row(server) == 1
    url = server.url
    children = psutil.Process(server.pid).children()
    server.kill()
    assert not still_alive(children, timeout=0)
    server.start()
    assert server.url == url
    assert _add_row(server) == 2
    server.stop()
    server.start()
    assert _add_row(server) == 3


def test_a_paused_server_hangs_and_answers_after_resume(fresh_postgres: PostgresServer) -> None:
    assert fresh_postgres.port is not None
    ask_for_tls = struct.pack(">ii", 8, 80877103)
    fresh_postgres.pause()
    with socket.create_connection(("127.0.0.1", fresh_postgres.port), timeout=0.3) as link:
        link.sendall(ask_for_tls)
        with pytest.raises(TimeoutError):
            link.recv(1)
        fresh_postgres.resume()
        link.settimeout(10)
        assert link.recv(1) == b"N"


def test_a_paused_server_can_be_killed(fresh_postgres: PostgresServer) -> None:
    fresh_postgres.pause()
    fresh_postgres.kill()
    fresh_postgres.start()
    assert _add_row(fresh_postgres) == 1


def test_a_busy_port_is_named_with_its_holder(fresh_postgres: PostgresServer) -> None:
    second = PostgresServer(fresh_postgres.data.with_name("second"), fresh_postgres.port)
    with pytest.raises(PortBusy, match=rf"port {fresh_postgres.port} is busy, held by postgres"):
        second.start()


def test_a_folder_in_use_is_refused(fresh_postgres: PostgresServer) -> None:
    second = PostgresServer(fresh_postgres.data, free_port())
    with pytest.raises(ServerError, match=f"in use by a PostgreSQL with pid {fresh_postgres.pid}"):
        second.start()
    assert _add_row(fresh_postgres) == 1


def test_a_lock_left_by_a_dead_server_does_not_matter(fresh_postgres: PostgresServer) -> None:
    fresh_postgres.kill()
    lock = fresh_postgres.data / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lines[0] = str(os.getpid())  # its pid now belongs to somebody unrelated
    lock.write_text("\n".join(lines))
    fresh_postgres.start()
    assert _add_row(fresh_postgres) == 1


def test_a_folder_of_another_major_version_is_refused(fresh_postgres: PostgresServer) -> None:
    fresh_postgres.stop()
    version = fresh_postgres.data / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(ServerError, match=r"made by PostgreSQL 12, .*make reset"):
        fresh_postgres.start()


def test_another_password_is_refused(fresh_postgres: PostgresServer) -> None:
    fresh_postgres.stop()
    with pytest.raises(ServerError, match="another superuser password"):
        PostgresServer(fresh_postgres.data, password="other").start()


def test_a_foreign_folder_is_left_alone(fresh_postgres: PostgresServer) -> None:
    folder = fresh_postgres.data.with_name("mine")
    folder.mkdir()
    (folder / "letter").write_text("dear")
    with pytest.raises(ServerError, match="neither empty nor a PostgreSQL data folder"):
        PostgresServer(folder).start()
    assert (folder / "letter").read_text() == "dear"


def test_a_bad_option_is_told_with_the_servers_own_words(fresh_postgres: PostgresServer) -> None:
    server = PostgresServer(fresh_postgres.data.with_name("b"), options={"no_such_setting": "1"})
    with pytest.raises(ServerError, match="no_such_setting"):
        server.start()


def test_servers_and_their_folder_die_with_a_killed_owner(fresh_postgres: PostgresServer) -> None:
    data = fresh_postgres.data.with_name("orphan")
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from libs.testing.servers import PostgresServer
        from libs.testing.servers.process import guard
        data = Path(sys.argv[1])
        server = PostgresServer(data)
        server.start()
        guard.order(f"folder {data}")
        print(server.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(data)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        server = psutil.Process(pid)
        owner.send_signal(signal.SIGKILL)
    assert not still_alive([server], timeout=10)
    assert wait_until(lambda: not data.exists(), timeout=10)
