"""``make demo``: make one purchase, from sign-in to the verified audit trail, and print each step.

It uses the newest stack that ``make run`` has started, or the one at ``--api-port``. Without one it starts its own
stack on free ports and stops it afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from local.run import print_status
from local.running import add_port_option, find_stack
from local.stack import Settings, Stack
from tuition.core.money import Money

WAIT_S = 60
console = Console(highlight=False)


@contextlib.contextmanager
def stack(api_port: int | None) -> Iterator[dict[str, Any]]:
    """Yield the ready line of a running stack, or of a new one that stops with the block.

    Raises RuntimeError if no stack responds at the port.
    """
    running = find_stack(api_port)
    if api_port and not running:
        raise RuntimeError(f"no stack responds at port {api_port}: leave out --api-port, or start it with `make run`")
    if running:
        console.print(f"Using the stack at {running['api']}.")
        yield running
        return
    console.print("Starting a stack …")
    own = Stack(Settings(), print_status)
    try:
        ready = own.start()
        if ready is None:
            raise RuntimeError("the stack did not start")
        yield ready
    finally:
        own.stop()


class StudentSession:
    """A new student, signed in on a stack."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.ready = ready
        self.http = httpx.Client(timeout=WAIT_S)
        self.sub = f"ada-{uuid.uuid4().hex[:8]}"
        body = {"sub": self.sub, "email": f"{self.sub}@example.org", "email_verified": True}
        self.token = self.http.post(f"{ready['api']}/_local/token", json=body).raise_for_status().json()["token"]

    def api(self, method: str, path: str, body: Any = None, *, staff: bool = False) -> Any:
        """Call the API and return its JSON. Raises RuntimeError with the response of an error."""
        token = self.ready["admin_token"] if staff else self.token
        headers = {"Authorization": f"Bearer {token}"}
        response = self.http.request(method, f"{self.ready['api']}/api{path}", headers=headers, json=body)
        if response.is_error:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def confirm(self, intent_id: str) -> str:
        """Pay as the browser does: directly at Stripe, with a test card. Return the intent's status."""
        response = self.http.post(
            f"{self.ready['stripe']}/v1/payment_intents/{intent_id}/confirm",
            auth=(self.ready["stripe_secret_key"], ""),
            data={"payment_method": "pm_card_visa"},
        )
        return str(response.raise_for_status().json()["status"])

    def wait_for_enrollment(self) -> dict[str, Any]:
        """Poll until the webhook has enrolled the student, and return the enrollment."""

        def enrolled() -> dict[str, Any] | None:
            enrollments = self.api("GET", "/enrollments")["enrollments"]
            return next((one for one in enrollments if one["status"] == "ENROLLED"), None)

        return _wait(enrolled, "no enrollment")

    def wait_for_card(self, payment_id: str) -> dict[str, Any]:
        """Poll until the payment shows the card, and return the payment. The charge may arrive after the intent."""

        def paid() -> dict[str, Any] | None:
            payment: dict[str, Any] = self.api("GET", f"/payments/status/{payment_id}")
            return payment if payment["payment_method"] else None

        return _wait(paid, "no charge")


def _wait(poll: Callable[[], dict[str, Any] | None], missing: str) -> dict[str, Any]:
    """Poll until there is a result, and return it. Raises RuntimeError after `WAIT_S`."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if (result := poll()) is not None:
            return result
        time.sleep(0.2)
    raise RuntimeError(f"{missing} after {WAIT_S} s: see docs/troubleshooting.md")


def play(ready: dict[str, Any]) -> bool:
    """Make the purchase. Return whether the audit chain verifies and the first project is unlocked."""
    student = StudentSession(ready)
    step = console.print
    step(f"[bold]1[/] [cyan]{student.sub}[/] signs in")
    order = student.api("POST", "/payments/create-payment", {"track": "DP"})
    price = Money(order["amount"], order["currency"])
    step(f"[bold]2[/] requests track DP: {order['payment_id']}, {price}")
    step(f"[bold]3[/] pays with 4242 4242 4242 4242: Stripe answers {student.confirm(order['payment_intent_id'])}")
    enrollment = student.wait_for_enrollment()
    step(f"[bold]4[/] Stripe's webhook arrives: [green]{enrollment['status']}[/] in {enrollment['track']}")
    for project in enrollment["projects"]:
        lock = "[green]unlocked[/]" if project["unlocked"] else "[dim]locked  [/]"
        step(f"     {lock} {project['title']} ({len(project['steps'])} steps)")
    payment = student.wait_for_card(order["payment_id"])
    card = payment["payment_method"]
    step(f"[bold]5[/] the payment is {payment['status']}, {card['brand']} …{card['last4']}")
    staff_view = student.api("GET", f"/admin/payments/{order['payment_id']}", staff=True)
    title = "6  the audit trail that staff see (Stripe's time, UTC)"
    table = Table("seq", "time", "type", "source", "transition", title=title)
    for record in staff_view["audit"]:
        table.add_row(
            str(record["seq"]), record["at"][11:19], record["type"], record["source"], _describe(record["transition"])
        )
    step(table)
    verified = bool(staff_view["chain"]["verified"])
    step(f"   the hash chain is {'[green]verified[/]' if verified else '[red]broken[/]'}")
    return verified and enrollment["projects"][0]["unlocked"]


def _describe(transition: dict[str, Any]) -> str:
    moves = [f"{transition[n]['from']} → {transition[n]['to']}" for n in ("status", "enrollment") if n in transition]
    settled = [f"+{Money(transition['settled'], transition['currency'])}"] if "settled" in transition else []
    return ", ".join([*moves, *settled])


def main(arguments: list[str] | None = None) -> int:
    """Run the demo. Return 0 if it ended as expected, otherwise 1."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    add_port_option(parser)
    options = parser.parse_args(arguments)
    try:
        with stack(options.api_port) as ready:
            return 0 if play(ready) else 1
    except (RuntimeError, httpx.HTTPError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
