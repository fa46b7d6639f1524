"""Runs `stripe trigger` of the official CLI on the simulator, and says what became of each event.

`benchmarks/stripe_triggers.md` has the result of every event. `tests/stripe/test_simulator_cli.py` compares.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stripe_simulator.server import Simulator
from tests.stripe import stripe_cli

TABLE = Path(__file__).resolve().parents[2] / "benchmarks" / "stripe_triggers.md"
TIMEOUT_S = 60
LATER_S = 3.0
"""How far the clock is moved, so that the work that Stripe does asynchronously is done."""
RETURN_URL = "return_url=https://example.com"
NEEDS = {
    **dict.fromkeys(("payment_method.updated", "setup_intent.requires_action"), f"setup_intent:{RETURN_URL}"),
    **dict.fromkeys(("transfer.created", "transfer.reversed", "transfer.updated"), f"payment_intent:{RETURN_URL}"),
}
"""What `--add` must add: the CLI confirms without a `return_url`, which the served version refuses."""
REFUSED_BY_NAME = re.compile(r"The simulator does not (?:simulate|support) [^\n\"]*?, although Stripe does[^\n\".]*")
PASSES = "passes"


@dataclass(frozen=True)
class Row:
    """The result of one event: `passes`, or the message that refuses it. `needs` is an argument of `--add`."""

    event: str
    result: str
    needs: str = ""


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which the CLI has no configuration and sends no telemetry."""
    return os.environ | {"HOME": str(home), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}


def all_events(home: Path) -> list[str]:
    """Return the events that the CLI can trigger."""
    command = [str(stripe_cli.ensure()), "trigger", "--help"]
    text = subprocess.run(
        command, env=environment(home), capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    ).stdout
    return re.findall(r"^  (\w+(?:\.\w+)+)$", text, re.MULTILINE)


def trigger(simulator: Simulator, event: str, home: Path) -> Row:
    """Trigger an event on a reset simulator, and return its result. Any other failure is the result as it is."""
    simulator.stripe.account.reset()
    needs = NEEDS.get(event, "")
    command = [str(stripe_cli.ensure()), "trigger", event, *(["--add", needs] if needs else [])]
    command += ["--api-base", simulator.url, "--api-key", simulator.secret_key]
    process = subprocess.run(
        command, env=environment(home), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    with simulator.stripe.account.lock:
        simulator.stripe.account.clock.advance(LATER_S)
        simulator.stripe.account.run_due()
    if process.returncode == 0 and event in simulator.stripe.webhooks.types.values():
        return Row(event, PASSES, needs)
    output = process.stdout + process.stderr
    refusal = REFUSED_BY_NAME.search(output)
    text = refusal[0] if refusal and process.returncode else f"fails with {process.returncode}: {output[-300:]}"
    return Row(event, re.sub(r"\b(cus|pi|prod|price)_\w+", r"\1_…", text), needs)


def read_table() -> list[Row]:
    """Return the rows of the table."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) \|$", TABLE.read_text(), re.MULTILINE)
    return [Row(event, result, needs.removeprefix("`--add ").removesuffix("`")) for event, result, needs in rows]


def write_table(rows: list[Row], version: str) -> str:
    """Return the table as a document."""
    passing = [row for row in rows if row.result == PASSES]
    refused = [row for row in rows if row.result.startswith("The simulator does not")]
    others = len(rows) - len(passing) - len(refused)
    lines = [
        "# Triggers of the Stripe CLI",
        "",
        f"`stripe trigger` of CLI {version} has {len(rows)} events. {len(passing)} pass, {len(refused)} are refused",
        f"by name, and {others} fail otherwise. An event passes if the CLI succeeds and the simulator has the event.",
        "The last column has what the command must add, because the CLI confirms without a `return_url`, which the",
        "served version of Stripe's API refuses. This command writes the table:",
        "",
        "```sh",
        "make bench BENCH=stripe_triggers",
        "```",
        "",
        "`make test` runs the events that pass, `make soak` all.",
        "",
        "| event | result | needs |",
        "| --- | --- | --- |",
        *(f"| `{row.event}` | {row.result} | {f'`--add {row.needs}`' if row.needs else ''} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"
