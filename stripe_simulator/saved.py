"""`--data FILE`: the account's state as JSON, read at the start and written at the end."""

import heapq
import json
from dataclasses import asdict
from pathlib import Path

from stripe_simulator.account import Account
from stripe_simulator.clock import Due
from stripe_simulator.idempotency import Kept


def save(account: Account, path: Path) -> None:
    """Write the state beside the file, then put it in its place. Deliveries under way are not kept."""
    with account.lock:
        state = {
            "id": account.id,
            "secret_key": account.secret_key,
            "publishable_key": account.publishable_key,
            "offset": account.clock.offset,
            "later": [asdict(due) for due in account.clock.later],
            "objects": account.store.objects,
            "payloads": account.webhooks.payloads,
            "types": account.webhooks.types,
            "keys": {key: asdict(kept) | {"body": kept.body.decode()} for key, kept in account.keys.kept.items()},
        }
        text = json.dumps(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(path.suffix + ".new")
    beside.write_text(text)
    beside.replace(path)


def load(account: Account, path: Path) -> None:
    """Take over what was saved, if anything; the keys of the command line win over the saved ones."""
    if not path.exists():
        return
    state = json.loads(path.read_text())
    with account.lock:
        account.id = state["id"]
        account.clock.offset = state["offset"]
        account.clock.later = [Due(**due) for due in state["later"]]
        heapq.heapify(account.clock.later)
        account.clock.resume()
        account.store.objects.update(state["objects"])
        account.webhooks.payloads.update(state["payloads"])
        account.webhooks.types.update(state["types"])
        for key, kept in state["keys"].items():
            account.keys.kept[key] = Kept(**(kept | {"body": kept["body"].encode()}))


def keys(path: Path) -> tuple[str | None, str | None]:
    """The saved secret and publishable key."""
    if not path.exists():
        return None, None
    state = json.loads(path.read_text())
    return state["secret_key"], state["publishable_key"]
