"""`--data FILE`: the account's state as JSON, read at the start and written while the simulator runs and at its end."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stripe_simulator.account import Account
from stripe_simulator.clock import Task
from stripe_simulator.idempotency import IdempotencyRecord
from stripe_simulator.webhooks import MAX_TRIES, Delivery, Webhooks

SAVE_INTERVAL_S = 5.0


class StateFileError(Exception):
    """The file does not contain a state of the simulator."""


def save(account: Account, path: Path) -> None:
    """Write the state to a new file, then replace the old file with it. Raises OSError."""
    with account.lock:
        account.unsaved = False
        state = {
            "run": account.run,
            "id": account.id,
            "secret_key": account.secret_key,
            "publishable_key": account.publishable_key,
            "more_secret_keys": account.more_secret_keys,
            "expired_keys": account.expired_keys,
            "offset": account.clock.offset,
            "later": [asdict(task) for task in account.clock.tasks],
            "objects": account.store.objects,
            "payloads": account.webhooks.payloads,
            "types": account.webhooks.types,
            "deliveries": [
                _delivery_to_json(one) for deliveries in account.webhooks.deliveries.values() for one in deliveries
            ],
            "keys": {key: asdict(record) | {"body": record.body.decode()} for key, record in _finished(account)},
        }
        text = json.dumps(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    new_file = path.with_suffix(path.suffix + ".new")
    new_file.write_text(text)
    new_file.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return the saved state, or None if there is no file. Raises StateFileError and OSError."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = json.loads(path.read_text())
        return {**state, "run": state["run"] + 1}
    except (ValueError, TypeError, KeyError) as error:
        raise StateFileError(f"{path} is not a state file of the simulator ({error!r})") from error


def load(account: Account, state: dict[str, Any]) -> None:
    """Load a saved state. The API keys stay as they are, because the command line may set them."""
    with account.lock:
        account.id, account.run = state["id"], state["run"]
        account.more_secret_keys = state.get("more_secret_keys", [])
        account.expired_keys = state.get("expired_keys", [])
        account.store.start_run(account.run)
        account.clock.offset = state["offset"]
        account.clock.load([Task(**task) for task in state["later"]])
        account.store.objects.update(state["objects"])
        account.webhooks.payloads.update(state["payloads"])
        account.webhooks.types.update(state["types"])
        for one in state["deliveries"]:
            _load_delivery(account.webhooks, one)
        for key, record in state["keys"].items():
            body = record["body"].encode()
            account.idempotency_keys.records[key] = IdempotencyRecord(**(record | {"body": body}))


def _finished(account: Account) -> list[tuple[str, IdempotencyRecord]]:
    """Return the finished records: a request in flight ends with the program, so the next run may use its key."""
    return [(key, record) for key, record in account.idempotency_keys.records.items() if record.status is not None]


def _delivery_to_json(delivery: Delivery) -> dict[str, Any]:
    names = ("event_id", "endpoint_id", "url", "api_version", "due", "tries", "outcome", "log")
    return {name: getattr(delivery, name) for name in names}


def _load_delivery(webhooks: Webhooks, fields: dict[str, Any]) -> None:
    """Hold a held delivery again, and send the unfinished deliveries of existing endpoints."""
    endpoint = webhooks.store.find("webhook_endpoint", fields["endpoint_id"])
    secrets = endpoint["_secrets"] if endpoint else []
    delivery = Delivery(payload=webhooks.payloads[fields["event_id"]], secrets=secrets, **fields)
    webhooks.deliveries.setdefault(delivery.event_id, []).append(delivery)
    if delivery.outcome == "held":
        webhooks.held.append(delivery)
    elif endpoint and delivery.outcome in ("waiting", "failed") and delivery.tries < MAX_TRIES:
        webhooks.outbox.append(delivery)
