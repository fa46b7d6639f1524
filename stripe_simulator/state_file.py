"""`--data FILE`: the state of all accounts as JSON, read at the start, and written while the simulator runs and ends.

Kept are the accounts with their keys, objects, events, deliveries, idempotency keys and clocks, and the delivery mode
that `/_sim/webhooks` has set. The request log, the faults and the rate limits end with the run.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stripe_simulator.account import TASKS, Account
from stripe_simulator.accounts import Accounts, KeyConflict, mask
from stripe_simulator.clock import Task
from stripe_simulator.idempotency import IdempotencyRecord
from stripe_simulator.resources import payment_methods
from stripe_simulator.webhooks import MAX_TRIES, Delivery, Webhooks

SAVE_INTERVAL_S = 5.0
VERSION = 2
"""The version of the format. Files of version 1, which name none, have one account."""
State = dict[str, Any]


class StateFileError(Exception):
    """The file does not contain a state of the simulator."""


def save(accounts: Accounts, path: Path) -> None:
    """Write the state to a new file, then replace the old file with it. Raises OSError."""
    accounts.unsaved = False
    states = [_account_to_json(account) for account in accounts.all()]
    head = json.dumps({"version": VERSION, "admin_key": accounts.admin_key})
    path.parent.mkdir(parents=True, exist_ok=True)
    new_file = path.with_suffix(path.suffix + ".new")
    new_file.write_text(f'{head[:-1]}, "accounts": [{", ".join(states)}]}}')
    new_file.replace(path)


def _account_to_json(account: Account) -> str:
    with account.lock:
        account.unsaved = account.webhooks.unsaved = False
        state = {
            "run": account.run,
            "id": account.id,
            "created": account.created,
            "secret_key": account.secret_key,
            "publishable_key": account.publishable_key,
            "more_secret_keys": account.more_secret_keys,
            "expired_keys": account.expired_keys,
            "offset": account.clock.offset,
            "later": [asdict(task) for task in account.clock.tasks],
            "objects": account.store.objects,
            "deliver": None if account.webhooks.has_default_mode else account.webhooks.mode,
            "seed": account.webhooks.seed,
            "delay_s": account.webhooks.delay_s,
            "payloads": account.webhooks.payloads,
            "types": account.webhooks.types,
            "deliveries": [
                _delivery_to_json(one) for deliveries in account.webhooks.deliveries.values() for one in deliveries
            ],
            "keys": {key: asdict(record) | {"body": record.body.decode()} for key, record in _finished(account)},
        }
        return json.dumps(state)


def read(path: Path) -> State | None:
    """Return the saved state, or None if there is no file. Raises StateFileError and OSError."""
    if not path.exists():
        return None
    try:
        state: State = json.loads(path.read_text())
        if state.get("version", VERSION) != VERSION:
            raise StateFileError(
                f"{path} has version {state['version']} of the state, and this simulator reads version {VERSION}: "
                "use a newer simulator, or another file"
            )
        if "accounts" not in state:  # version 1, the state of one account
            state = {"accounts": [state]}
        for account in state["accounts"]:
            account["run"] += 1
        state["accounts"][0]["secret_key"]
        return state
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StateFileError(f"{path} is not a state file of the simulator ({error!r})") from error


def load(accounts: Accounts, state: State, path: Path) -> None:
    """Load a saved state. The default account's keys stay as they are, because the command line may set them.

    Raises StateFileError for a file that lacks a part, or in which another account has a key of the default account.
    """
    try:
        first, *others = state["accounts"]
        accounts.replace(accounts.default, lambda account: _load_account(account, first))
        for one in others:
            account = accounts.new(one["secret_key"])
            _load_account(account, one)
            accounts.register(account)
    except KeyConflict as error:
        raise StateFileError(
            f"{path} has an account of its own for the key {mask(str(error))}, so the default account cannot have it: "
            "use another --secret-key or --publishable-key, or another file"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateFileError(f"{path} is not a state file of the simulator ({error!r})") from error


def _load_account(account: Account, state: State) -> None:
    account.id, account.run = state["id"], state["run"]
    account.created = state.get("created", account.created)
    account.more_secret_keys = state.get("more_secret_keys", [])
    account.expired_keys = state.get("expired_keys", [])
    account.store.start_run(account.run)
    account.clock.offset = state["offset"]
    account.clock.load([_load_task(task) for task in state["later"]])
    account.store.objects.update(state["objects"])
    _add_outcomes(account)
    if state.get("deliver") is not None:
        account.webhooks.set_mode(state["deliver"], state.get("seed"))
    account.webhooks.delay_s = state.get("delay_s", 0.0)
    account.webhooks.payloads.update(state["payloads"])
    account.webhooks.types.update(state["types"])
    for one in state["deliveries"]:
        _load_delivery(account.webhooks, one)
    for key, record in state["keys"].items():
        body = record["body"].encode()
        account.idempotency_keys.records[key] = IdempotencyRecord(**(record | {"body": body}))


def _load_task(fields: dict[str, Any]) -> Task:
    """Return a task. Raises ValueError for one that only another version of the simulator has."""
    task = Task(**fields)
    if task.name not in TASKS:
        raise ValueError(f"this version has no task {task.name}")
    return task


def _add_outcomes(account: Account) -> None:
    """Give each pending debit the outcome that files of earlier versions lack: the usual one of its payment method."""
    for charge in account.store.objects.get("charge", {}).values():
        if charge["status"] == "pending" and "_settles" not in charge:
            method = account.store.objects["payment_method"][charge["payment_method"]]
            charge["_settles"] = payment_methods.behavior(method).settles


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
    for entry in delivery.log:
        webhooks.keep_response(entry)
    if delivery.outcome == "held":
        webhooks.held.append(delivery)
    elif endpoint and delivery.outcome in ("waiting", "failed") and delivery.tries < MAX_TRIES:
        webhooks.outbox.append(delivery)
