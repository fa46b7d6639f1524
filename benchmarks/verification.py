"""How long the verifier for outsiders takes for an archive, and how much memory it needs.

make bench BENCH=verification ARGS="--records 100000 1000000"
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import archive_copies
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


def measure(records: int) -> str:
    """Write an archive, verify it in a process of its own, and return the line of its figures."""
    with tempfile.TemporaryDirectory() as folder:
        copy, until = write(Path(folder), records)
        size = sum(path.stat().st_size for path in copy.root.rglob("*") if path.is_file())
        command = [sys.executable, str(VERIFIER), "--archive", str(copy.archive), "--digests", str(copy.digests)]
        started = time.monotonic()
        process = subprocess.Popen([*command, "--key", str(copy.root / "key.pem"), "--until", until])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
    if process.returncode:
        raise RuntimeError(f"the verifier exited with {process.returncode}")
    processor = usage.ru_utime + usage.ru_stime
    return (
        f"{records:12,} {size / 2**20:9.0f} MiB {seconds:9.1f} s {processor:9.1f} s {usage.ru_maxrss / 1024:9.0f} MiB"
    )


def main() -> None:
    """Measure, print the figures, and write them to a file."""
    parser = argparse.ArgumentParser(prog="benchmarks.verification", description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    options = parser.parse_args()
    head = f"{'records':>12} {'copy':>13} {'time':>11} {'processor':>11} {'peak memory':>13}"
    shape = f"{RECORDS_PER_OBJECT} records per object, {OBJECTS_PER_HOUR} objects per hour"
    figures = [measure(records) for records in options.records]
    text = (
        "\n".join(
            [
                __doc__.split("\n")[0],
                "",
                f"{RECORDS_PER_PAYMENT} records per payment, {shape}; {os.cpu_count()} cores.",
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
