"""Events.

https://docs.stripe.com/api/events
"""

import json
import re
from collections.abc import Iterator

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import resource_missing, validation_error
from stripe_simulator.store import Object

MAX_TYPES = 20
RETENTION_S = 30 * 24 * 3600


def _select(account: Account, types: list[str], delivered: bool | None) -> Iterator[Object]:
    """Yield the events that match, newest first. Events expire after 30 days."""
    webhooks = account.webhooks
    patterns = [re.compile(re.escape(type_).replace(r"\*", ".*")) for type_ in types]  # `*` is the only wildcard
    oldest = account.clock.now() - RETENTION_S
    for id in reversed(webhooks.payloads):
        if types and not any(pattern.fullmatch(webhooks.types[id]) for pattern in patterns):
            continue
        event: Object = json.loads(webhooks.payloads[id])
        if event["created"] < oldest:
            return
        if delivered is not None and delivered != _is_delivered(account, id):
            continue
        yield event


def _is_delivered(account: Account, id: str) -> bool:
    """Return whether all endpoints have received the event."""
    return bool(account.webhooks.event(id)["pending_webhooks"] == 0)


def list_(call: Call) -> Object:
    """GET /v1/events?type&types[]&created&delivery_success."""
    params = call.params
    if "type" in params and "types" in params:
        raise validation_error("You may pass either `type` or `types`, but not both.", param="types")
    types = params.get("types", [params["type"]] if "type" in params else [])
    if len(types) > MAX_TYPES:
        raise validation_error(f"You may specify up to {MAX_TYPES} types.", param="types")
    events = _select(call.account, types, params.get("delivery_success"))
    page = lists.page(lists.select(events, params), params, call.path, "event")
    page["data"] = [call.account.webhooks.event(one["id"]) for one in page["data"]]
    return page


def retrieve(call: Call) -> Object:
    """GET /v1/events/:id."""
    webhooks = call.account.webhooks
    event = webhooks.event(call.ids[0]) if call.ids[0] in webhooks.payloads else None
    if event is None or event["created"] < call.account.clock.now() - RETENTION_S:
        raise resource_missing("event", call.ids[0])
    return event


def retry(call: Call) -> Object:
    """POST /v1/events/:id/retry, a request of `stripe events resend`."""
    retrieve(call)
    call.account.webhooks.resend(call.ids[0], call.form.get("webhook_endpoint"))
    return retrieve(call)


ROUTES = {
    "GET /v1/events": list_,
    "GET /v1/events/*": retrieve,
    "POST /v1/events/*/retry": retry,
}
