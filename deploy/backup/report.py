"""A drill's report for people."""

from __future__ import annotations

from deploy.backup.drill import Report

_WORDS = {True: "ok", False: "FAILED", None: "-"}


def show(report: Report) -> None:
    """Print it: what was restored, the tables, the checks, the two figures."""
    print(f"Backup {report.backup or '(none)'}, asked for {report.asked_for or 'all there is'}")
    if report.tables:
        print(f"\n{'table':<44} {'rows':>12}  hash of a log's rows")
    for table in report.tables:
        value = "" if table.hash is None else f"{table.hash % 2**64:016x}"
        print(f"{table.database + '.' + table.table:<44} {table.rows:>12}  {value}")
    if report.checks:
        print()
    for check in report.checks:
        print(f"{_WORDS[check.passed]:<7} {check.name}: {check.says}")
    print()
    for name, seconds in report.phases.items():
        print(f"{seconds:8.1f} s  {name}")
    if report.rto_seconds is not None:
        print(f"\nRTO {report.rto_seconds:.1f} s (until the restored server answered)")
    if report.rpo_seconds is not None:
        print(f"RPO {report.rpo_seconds:.1f} s (last commit recovered: {report.reached})")
    if report.error:
        print(f"\nFAILED: {report.error}")
    print("The drill passed." if report.passed else "The drill did NOT pass.")
