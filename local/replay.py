"""``make replay``: publish audit records again as events, at a bounded rate.

It reads day by day from the first one to today, or one day, or the records of one payment or user. The function that
publishes the stream reads and publishes them, on the local stack, or with ``--aws`` on a deployed stack with the
shell's credentials and region. An interrupted replay prints how to resume it. Events keep their ids, so consumers
ignore those that they have handled, and two replays at once do no harm.

The emails consumer forgets what it has handled if its table is restored to an earlier moment. Then a replay of the days
since that moment is refused, while their emails could be sent twice.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed_function import CommandFailed, add_stack_options, console, local_connection, physical_id

FUNCTION = "PublishFunction"
EFFECTS_TABLE = "EFFECTS_TABLE"
"""The variable of the function with the name of the table, which a restore may have changed."""
FIRST_DAY = date(2026, 11, 1)
"""No record is older: the first release is of this month."""
RATE = 50
"""Records per second, unless ``--rate`` says otherwise. Each has about three events."""
MAX_RATE = 1000
PAGE = 100
"""Records per invocation."""
INVOCATION_S = 70
FORGETFUL = timedelta(days=4)
"""A restored table of effects lacks emails for so long: a transition older than three days sends none, and the stack
uses the table within a day of its creation."""

Report = dict[str, Any]


class Replayer:
    """The deployed function that publishes."""

    def __init__(self, *, stack: str, aws: bool, api_port: int | None = None) -> None:
        connection = {} if aws else local_connection(api_port)
        self._name = physical_id(stack, FUNCTION, connection)
        config = Config(read_timeout=INVOCATION_S, retries={"total_max_attempts": 1})
        self._client: Any = boto3.client("lambda", config=config, **connection)
        self._dynamodb: Any = boto3.client("dynamodb", **connection)

    def forgotten_since(self) -> datetime | None:
        """Return since when the table of effects lacks the emails that were sent, because it was restored."""
        configuration = self._client.get_function_configuration(FunctionName=self._name)
        name = configuration["Environment"]["Variables"][EFFECTS_TABLE]
        return forgotten_since(self._dynamodb.describe_table(TableName=name)["Table"], datetime.now(UTC))

    def replay(self, request: dict[str, Any]) -> Report:
        """Publish one page, and return the function's report. Raises `CommandFailed` if the function fails."""
        response = self._client.invoke(FunctionName=self._name, Payload=json.dumps({"replay": request}).encode())
        report: Report = json.loads(response["Payload"].read())
        if response.get("FunctionError"):
            raise CommandFailed(f"{report.get('errorType', 'error')}: {report.get('errorMessage', report)}")
        return report


def forgotten_since(table: dict[str, Any], now: datetime) -> datetime | None:
    """Return the moment to which a table of effects was restored; None if it was not, or long enough ago.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreSummary.html
    """
    summary = table.get("RestoreSummary")
    is_recent = now - table["CreationDateTime"] < FORGETFUL
    return summary["RestoreDateTime"].astimezone(UTC) if summary and is_recent else None


def refusal(options: argparse.Namespace, since: datetime | None) -> str | None:
    """Return why a replay would send emails twice; None if it would not, or may."""
    if since is None or options.emails_may_repeat or (not options.subject and options.last < since.date()):
        return None
    return (
        f"the table of effects was restored to {since:%Y-%m-%dT%H:%MZ}, so it lacks the emails that were sent since. A "
        f"replay would send them again. Replay the days before {since.date()} only (--to), or all of them "
        f"{FORGETFUL.days} days after the restore. With --emails-may-repeat students get these emails twice"
    )


def days(first: date, last: date) -> Iterator[date]:
    """Yield each day of a range."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def of_days(replayer: Replayer, first: date, last: date, after: str | None, rate: int) -> Iterator[Report]:
    """Replay each day page by page, and yield each page's report. ``after`` is a position in the first day.

    No more than ``rate`` records are read per second, on average over each page. Prints how to resume if it fails.
    """
    for day in days(first, last):
        while True:
            started = time.monotonic()
            request = {"day": day.isoformat(), "limit": PAGE, **({"after": after} if after else {})}
            try:
                report = replayer.replay(request)
                after = report["after"]
                pause(report["records"] / rate - (time.monotonic() - started))
            except BaseException:
                console.print(f"Resume with: --from {day} --to {last}{f' --after {after}' if after else ''}")
                raise
            yield report
            if after is None:
                break


def pause(seconds: float) -> None:
    """Wait, if there is time left to wait."""
    if seconds > 0:
        time.sleep(seconds)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if everything was published, 1 if a record was not, 2 if the replay could not run to its end."""
    options = parse(arguments)
    reports: list[Report] = []
    try:
        replayer = Replayer(stack=options.stack, aws=options.aws, api_port=options.api_port)
        refused = refusal(options, replayer.forgotten_since())
        if refused:
            raise CommandFailed(refused)
        if options.subject:
            reports.append(replayer.replay({"subject": options.subject}))
        else:
            for report in of_days(replayer, options.first, options.last, options.after, options.rate):
                reports.append(report)
    except (CommandFailed, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 2
    console.print(f"{sum(one['records'] for one in reports)} records, {sum(one['events'] for one in reports)} events")
    failed = [name for report in reports for name in report["failed"]]
    for name in failed:
        console.print(f"[red]not published[/] {name}")
    return 1 if failed else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the records and the stack that a command names."""
    parser = argparse.ArgumentParser(prog="make replay", description=__doc__)
    parser.add_argument("--payment", "--user", dest="subject", help="only the records of this payment or user")
    parser.add_argument("--day", type=date.fromisoformat, help="only the records of one UTC day")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, help=f"first UTC day, default {FIRST_DAY}")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, help="last UTC day, default today")
    parser.add_argument("--after", help="resume the first day behind this position")
    parser.add_argument("--rate", type=int, default=RATE, help=f"records per second, default {RATE}")
    parser.add_argument("--emails-may-repeat", action="store_true", help="replay although emails could be sent twice")
    add_stack_options(parser)
    options = parser.parse_args(arguments)
    if (options.day and (options.first or options.last)) or (options.subject and (options.day or options.first)):
        parser.error("name one payment, one day or a range of days")
    options.first = options.day or options.first or FIRST_DAY
    options.last = options.day or options.last or datetime.now(UTC).date()
    if options.first > options.last:
        parser.error("--from cannot be after --to")
    if not 0 < options.rate <= MAX_RATE:
        parser.error(f"--rate is a number from 1 to {MAX_RATE}")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
