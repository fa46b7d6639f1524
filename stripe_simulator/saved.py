"""`--data FILE`: the account's state as JSON, read at the start, written while it runs and at the end."""

import heapq
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stripe_simulator.account import Account
from stripe_simulator.clock import Due
from stripe_simulator.idempotency import Kept
from stripe_simulator.webhooks import TRIES, Delivery, Webhooks

EVERY_S = 5.0


class NotOurs(Exception):
    """The file holds no state of the simulator."""


def save(account: Account, path: Path) -> None:
    """Write the state beside the file, then put it in its place. Raises OSError."""
    with account.lock:
        account.unsaved = False
        state = {
            "run": account.run,
            "id": account.id,
            "secret_key": account.secret_key,
            "publishable_key": account.publishable_key,
            "offset": account.clock.offset,
            "later": [asdict(due) for due in account.clock.later],
            "objects": account.store.objects,
            "payloads": account.webhooks.payloads,
            "types": account.webhooks.types,
            "deliveries": [_kept(one) for tries in account.webhooks.deliveries.values() for one in tries],
            "keys": {key: asdict(kept) | {"body": kept.body.decode()} for key, kept in _answered(account)},
        }
        text = json.dumps(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(path.suffix + ".new")
    beside.write_text(text)
    beside.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """What was saved, if anything. Raises NotOurs and OSError."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        return {**state, "run": state["run"] + 1}
    except (ValueError, TypeError, KeyError) as error:
        raise NotOurs(f"{path} holds no state of the simulator ({error!r})") from error


def load(account: Account, state: dict[str, Any]) -> None:
    """Take over what was saved; the keys of the command line win over the saved ones."""
    with account.lock:
        account.id, account.run = state["id"], state["run"]
        account.store.go_on(account.run)
        account.clock.offset = state["offset"]
        account.clock.later = [Due(**due) for due in state["later"]]
        heapq.heapify(account.clock.later)
        account.clock.resume()
        account.store.objects.update(state["objects"])
        account.webhooks.payloads.update(state["payloads"])
        account.webhooks.types.update(state["types"])
        for one in state["deliveries"]:
            _deliver(account.webhooks, one)
        for key, kept in state["keys"].items():
            account.keys.kept[key] = Kept(**(kept | {"body": kept["body"].encode()}))


def _answered(account: Account) -> list[tuple[str, Kept]]:
    """A request in flight does not outlive the program: its key is free then."""
    return [(key, kept) for key, kept in account.keys.kept.items() if kept.status is not None]


def _kept(one: Delivery) -> dict[str, Any]:
    names = ("event_id", "endpoint_id", "url", "due", "tries", "outcome", "log")
    return {name: getattr(one, name) for name in names}


def _deliver(webhooks: Webhooks, kept: dict[str, Any]) -> None:
    """What was held is held again; what was on its way, or is to be tried again, goes on."""
    endpoint = webhooks.store.find("webhook_endpoint", kept["endpoint_id"])
    secrets = endpoint["_secrets"] if endpoint else []
    delivery = Delivery(payload=webhooks.payloads[kept["event_id"]], secrets=secrets, **kept)
    webhooks.deliveries.setdefault(delivery.event_id, []).append(delivery)
    if delivery.outcome == "held":
        webhooks.held.append(delivery)
    elif endpoint and delivery.outcome in ("waiting", "failed") and delivery.tries < TRIES:
        webhooks.outbox.append(delivery)
