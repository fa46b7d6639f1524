"""``make demo``: the story of one purchase, from sign-in to the verified audit trail, printed for a person.

It plays on the stack that runs already (``make run`` leaves its ready line in ``.cache/running.json``), or starts one
of its own on free ports and ends it afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from local.run import RUNNING, say
from local.stack import Settings, Stack

WAIT_S = 60
console = Console(highlight=False)


@contextlib.contextmanager
def stack() -> Iterator[dict[str, Any]]:
    """The ready line of a stack: the running one, or one that lives as long as this story."""
    running = json.loads(RUNNING.read_text()) if RUNNING.exists() else None
    if running and _answers(running["api"]):
        console.print(f"On the stack that runs at {running['api']}.")
        yield running
        return
    console.print("Starting a stack of its own …")
    own = Stack(Settings(), say)
    try:
        ready = own.start()
        if ready is None:
            raise RuntimeError("the stack did not start")
        yield ready
    finally:
        own.stop()


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/api/payments/tracks/", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


class Story:
    """One new student on one stack."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.ready = ready
        self.http = httpx.Client(timeout=WAIT_S)
        self.sub = f"ada-{uuid.uuid4().hex[:8]}"
        body = {"sub": self.sub, "email": f"{self.sub}@example.org", "email_verified": True}
        self.token = self.http.post(f"{ready['api']}/_local/token", json=body).raise_for_status().json()["token"]

    def api(self, method: str, path: str, body: Any = None, *, staff: bool = False) -> Any:
        """Call the API; raise what it says where it is not content."""
        token = self.ready["admin_token"] if staff else self.token
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.http.request(method, f"{self.ready['api']}/api{path}", headers=headers, json=body)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def confirm(self, intent_id: str) -> str:
        """Pay as the browser would: straight at Stripe, with a test card."""
        answer = self.http.post(
            f"{self.ready['stripe']}/v1/payment_intents/{intent_id}/confirm",
            auth=(self.ready["stripe_secret_key"], ""),
            data={"payment_method": "pm_card_visa"},
        )
        return str(answer.raise_for_status().json()["status"])

    def wait_enrolled(self) -> dict[str, Any]:
        """The enrollment, once the webhook has made it."""
        ends = time.monotonic() + WAIT_S
        while time.monotonic() < ends:
            for found in self.api("GET", "/enrollments/")["enrollments"]:
                if found["status"] == "ENROLLED":
                    return dict(found)
            time.sleep(0.2)
        raise RuntimeError(f"no enrollment after {WAIT_S} s: see docs/troubleshooting.md")


def tell(ready: dict[str, Any]) -> bool:
    """Play the story; True where it ends as it should."""
    story = Story(ready)
    step = console.print
    step(f"[bold]1[/] [cyan]{story.sub}[/] signs in")
    made = story.api("POST", "/payments/create-payment/", {"track": "DP"})
    step(f"[bold]2[/] asks for track DP: {made['payment_id']}, {made['amount'] / 100:.2f} {made['currency'].upper()}")
    step(f"[bold]3[/] pays with 4242 4242 4242 4242: Stripe says {story.confirm(made['payment_intent_id'])}")
    enrolled = story.wait_enrolled()
    step(f"[bold]4[/] Stripe's webhook has made it so: [green]{enrolled['status']}[/] in {enrolled['track']}")
    for project in enrolled["projects"]:
        mark = "[green]unlocked[/]" if project["unlocked"] else "[dim]locked  [/]"
        step(f"     {mark} {project['title']} ({len(project['steps'])} steps)")
    paid = story.api("GET", f"/payments/status/{made['payment_id']}/")
    card = paid["payment_method"]
    step(f"[bold]5[/] the payment is {paid['status']}, {card['brand']} …{card['last4']}")
    found = story.api("GET", f"/admin/payments/{made['payment_id']}/", staff=True)
    table = Table(
        "seq", "time", "what", "source", "transition", title="6  what staff see, for ever (Stripe's time, UTC)"
    )
    for record in found["audit"]:
        table.add_row(
            str(record["seq"]), record["at"][11:19], record["type"], record["source"], _shown(record["transition"])
        )
    step(table)
    verified = bool(found["chain"]["verified"])
    step(f"   the chain of hashes is {'[green]verified[/]' if verified else '[red]broken[/]'}")
    return verified and enrolled["projects"][0]["unlocked"]


def _shown(transition: dict[str, Any]) -> str:
    moves = [f"{transition[n]['from']} → {transition[n]['to']}" for n in ("status", "enrollment") if n in transition]
    return ", ".join([*moves, *([f"+{transition['settled'] / 100:.2f}"] if "settled" in transition else [])])


def main(arguments: list[str] | None = None) -> int:
    """0 where the story ended well."""
    argparse.ArgumentParser(prog="make demo", description=__doc__).parse_args(arguments)
    try:
        with stack() as ready:
            return 0 if tell(ready) else 1
    except (RuntimeError, httpx.HTTPError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
