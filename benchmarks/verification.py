"""How long an archive takes the verifier for outsiders, and the tables `make verify`, and how much memory they need.

The tables are generated page by page while they are verified. Making them is part of the figures, and is also measured
alone. Not measured: the network, DynamoDB, and how boto3 decodes an answer.

make bench BENCH=verification ARGS="--records 100000 1000000"
"""

import argparse
import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local import verify
from tests import archive_copies, generated_tables
from tuition.core.audit import AuditEntry, Record

RECORDS_PER_PAYMENT = 5
RECORDS_PER_OBJECT = 100
OBJECTS_PER_HOUR = 50
START = datetime(2026, 1, 1, tzinfo=UTC)
VERIFIER = Path(__file__).parents[1] / "verifier" / "tuition_verify.py"
STEPS = ("payment.created", "payment_intent.processing", "payment_intent.succeeded", "charge.updated", "refund.created")


def payment(number: int) -> Iterator[dict[str, Any]]:
    """Yield the records of one payment, as long as those of production."""
    subject, previous = f"pay_{number:026}", ""
    for seq, kind in enumerate(STEPS, start=1):
        transition = {
            "status": {"from": "CREATED", "to": "SUCCEEDED"},
            "enrollment": {"from": "PENDING", "to": "ENROLLED"},
            "settled": 49900,
            "currency": "usd",
            "payment": {"attempt": 1, "created_at": "2026-01-01T00:00:00Z", "method": "card", "price": 49900},
        }
        entry = AuditEntry(f"2026-01-01T00:{seq:02}:00.000Z", f"evt_{number:020}{seq}", kind, "webhook")
        record = Record(subject, seq, entry, f"user-{number // 2:020}", "DP", transition, previous)
        previous = record.hash
        yield {**record.body(), "hash": previous}


def write(root: Path, records: int) -> tuple[archive_copies.Copy, str]:
    """Write an honest archive with its digests. Return it and the hour after it."""
    copy = archive_copies.Copy(root, archive_copies.new_key())
    lines = itertools.chain.from_iterable(payment(number) for number in range(records // RECORDS_PER_PAYMENT))
    objects = enumerate(itertools.batched(lines, RECORDS_PER_OBJECT, strict=False))
    hours = []
    for hour, batches in itertools.groupby(objects, lambda numbered: hour_name(numbered[0] // OBJECTS_PER_HOUR)):
        for number, batch in batches:
            copy.put(hour, f"{number:09}", archive_copies.pack(batch))
        hours.append(hour)
    copy.sign(hours=hours)
    return copy, hour_name(len(hours))


def hour_name(number: int) -> str:
    """Return the name of an hour of the archive."""
    return (START + timedelta(hours=number)).strftime("%Y-%m-%dT%H")


def measure_archive(records: int) -> str:
    """Write an archive, verify it in a process of its own, and return the line of its figures."""
    with tempfile.TemporaryDirectory() as folder:
        copy, until = write(Path(folder), records)
        size = sum(path.stat().st_size for path in copy.root.rglob("*") if path.is_file())
        command = [str(VERIFIER), "--archive", str(copy.archive), "--digests", str(copy.digests)]
        figures = run([*command, "--key", str(copy.root / "key.pem"), "--until", until])
    return f"archive {size / 2**20:6.0f} MiB  {records:12,} {figures}"


def measure_tables(records: int) -> list[str]:
    """Verify generated tables in a process of its own, and only read them in another. Return the lines of figures."""
    module, number = "benchmarks.verification", str(records // RECORDS_PER_PAYMENT)
    return [
        f"tables              {records:12,} {run(['-m', module, '--verify-tables', number])}",
        f"  reading them only {records:12,} {run(['-m', module, '--read-tables', number])}",
    ]


def run(arguments: list[str]) -> str:
    """Run a program in Python, and return its time, processor time and peak memory."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the verification exited with {process.returncode}")
    seconds, processor = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    return f"{seconds:9.1f} s {processor:9.1f} s {usage.ru_maxrss / 1024:9.0f} MiB"


def tables(payments: int) -> verify.Tables:
    """Return generated tables with so many payments."""
    return verify.Tables(generated_tables.Client(payments), {table: table for table in verify.TABLES})


def main() -> None:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(prog="benchmarks.verification", description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    parser.add_argument("--verify-tables", type=int, metavar="PAYMENTS", help="verify generated tables, and exit")
    parser.add_argument("--read-tables", type=int, metavar="PAYMENTS", help="only read generated tables, and exit")
    options = parser.parse_args()
    if options.verify_tables:
        sys.exit(verify.verify(tables(options.verify_tables)))
    if options.read_tables:
        print(sum(1 for table in verify.TABLES for _ in tables(options.read_tables).scan(table)), "items")
        return
    head = f"{'':19} {'records':>12} {'time':>11} {'processor':>11} {'peak memory':>13}"
    shape = f"{RECORDS_PER_OBJECT} records per object, {OBJECTS_PER_HOUR} objects per hour"
    figures = [line for records in options.records for line in measure_tables(records)]
    figures += [measure_archive(records) for records in options.records]
    arguments = f"--records {' '.join(map(str, options.records))}"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = (
        "\n".join(
            [
                f'$ make bench BENCH=verification ARGS="{arguments}"',
                f"{now}, Python {platform.python_version()}, {os.cpu_count()} processors",
                "",
                __doc__.partition("\n\nmake")[0],
                "",
                f"{RECORDS_PER_PAYMENT} records per payment, {shape}.",
                "",
                head,
                *figures,
            ]
        )
        + "\n"
    )
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
