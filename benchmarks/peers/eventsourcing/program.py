"""One measurement of `eventsourcing` on PostgreSQL; takes a task as JSON, prints a result as JSON.

Its database functions are on, which save round trips; threads save at once, each with a connection.
"""

# It runs in the peer's environment; ours, where types are checked, lacks the library.
# mypy: ignore-errors

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import ApplicationSubscription, Projection, ProjectionRunner
from psycopg.sql import SQL

STREAMS = 100
TABLE = """
CREATE TABLE IF NOT EXISTS follower_changes (
  id text PRIMARY KEY, account text NOT NULL, change_type text NOT NULL, user_id text NOT NULL,
  username text NOT NULL, profile_pic_url text, verified boolean, follower_count integer)
"""
UPSERT = """
INSERT INTO follower_changes VALUES (%s, %s, 'new_follower', %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
"""


class Account(Aggregate):
    """Somebody's account, which others follow."""

    @event("Opened")
    def __init__(self) -> None:
        self.followers = 0

    @event("FollowerGained")
    def follow(
        self,
        user_id: str,
        username: str,
        profile_pic_url: str,
        verified: bool,
        follower_count: int,
    ) -> None:
        """One more."""
        self.followers += 1


class Accounts(Application[UUID]):
    """All of them."""

    is_snapshotting_enabled = False


class View(PostgresTrackingRecorder):
    """The table that follows are projected to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sql_create_statements.append(SQL(TABLE))

    def add(self, follow: Account.Event, tracking: Tracking) -> None:
        """A row and the place reached, in one transaction."""
        values = vars(follow)
        row = [
            f"{follow.originator_id}-{follow.originator_version}",
            str(follow.originator_id),
            *(values[name] for name in ("user_id", "username", "profile_pic_url")),
            *(values[name] for name in ("verified", "follower_count")),
        ]
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(UPSERT, row, prepare=True)


class Followers(Projection[View]):
    """Every follow becomes a row."""

    name = "followers"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Anything else is passed over."""
        if type(domain_event).__name__ == "FollowerGained":
            self.view.add(domain_event, tracking)


def append(app: Accounts, task: dict[str, Any]) -> None:
    """Save `per_call` new events of one account at a time."""
    per_thread = STREAMS // task["at_once"]

    def caller(own: int) -> None:
        accounts = [Account() for _ in range(per_thread)]
        calls = task["events"] // task["per_call"] // task["at_once"]
        for call in range(calls):
            account = accounts[call % per_thread]
            for place in range(task["per_call"]):
                number = (own * calls + call) * task["per_call"] + place
                account.follow(
                    user_id=str(10**18 + number),
                    username=f"person_{number}",
                    profile_pic_url=f"https://img.example.org/p/{number}_normal.jpg",
                    verified=number % 10 == 0,
                    follower_count=number % 5000,
                )
            app.save(account)

    with ThreadPoolExecutor(task["at_once"]) as threads:
        list(threads.map(caller, range(task["at_once"])))


def project(env: dict[str, str]) -> None:
    """Run the projection until it has reached the end of the log."""
    with ProjectionRunner(
        application_class=Accounts, projection_class=Followers, view_class=View, env=env
    ) as runner:
        runner.wait(runner.app.recorder.max_notification_id(), timeout=600)


def read(app: Accounts) -> None:
    """Read the log as whoever follows it does."""
    end = app.recorder.max_notification_id()
    with ApplicationSubscription(app, gt=None) as subscription:
        for _, tracking in subscription:
            if tracking.notification_id == end:
                return


def main() -> None:
    task = json.loads(sys.argv[1])
    url = urlsplit(task["database"])
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path[1:],
        "POSTGRES_HOST": url.hostname or "",
        "POSTGRES_PORT": str(url.port),
        "POSTGRES_USER": url.username or "",
        "POSTGRES_PASSWORD": unquote(url.password or ""),
        "POSTGRES_POOL_SIZE": str(task["at_once"] + 2),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }
    with Accounts(env=env) as app:
        cpu, started = time.process_time(), time.perf_counter()
        if task["work"] == "append":
            append(app, task)
        elif task["work"] == "project":
            project(env)
        else:
            read(app)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        with app.recorder.datastore.transaction() as cursor:
            if task["work"] == "project":
                cursor.execute("SELECT count(*) FROM follower_changes")
            else:
                cursor.execute(
                    "SELECT count(*) FROM accounts_events WHERE topic LIKE '%FollowerGained'"
                )
            [rows] = cursor.fetchone().values()
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
