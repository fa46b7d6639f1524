"""Events. https://docs.stripe.com/api/events"""

import json
import re
from collections.abc import Iterator

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.errors import missing, unvalidated
from stripe_simulator.store import Object

MOST_TYPES = 20
KEPT_SECONDS = 30 * 24 * 3600


def _found(account: Account, types: list[str], delivered: bool | None) -> Iterator[Object]:
    """Newest first, not older than 30 days."""
    webhooks = account.webhooks
    patterns = [re.compile(re.escape(wanted).replace(r"\*", ".*")) for wanted in types]  # `*` is all that is special
    oldest = account.clock.now() - KEPT_SECONDS
    for id in reversed(webhooks.payloads):
        if types and not any(wanted.fullmatch(webhooks.types[id]) for wanted in patterns):
            continue
        event: Object = json.loads(webhooks.payloads[id])
        if event["created"] < oldest:
            return
        if delivered is not None and delivered != _delivered(account, id):
            continue
        yield event


def _delivered(account: Account, id: str) -> bool:
    """Whether no endpoint is still waiting for the event."""
    return bool(account.webhooks.event(id)["pending_webhooks"] == 0)


def list_(call: Call) -> Object:
    """GET /v1/events?type&types[]&created&delivery_success"""
    params = call.params
    if "type" in params and "types" in params:
        raise unvalidated("You may pass either `type` or `types`, but not both.", param="types")
    types = params.get("types", [params["type"]] if "type" in params else [])
    if len(types) > MOST_TYPES:
        raise unvalidated(f"You may specify up to {MOST_TYPES} types.", param="types")
    found = _found(call.account, types, params.get("delivery_success"))
    page = lists.page(lists.matching(found, params), params, call.path, "event")
    page["data"] = [call.account.webhooks.event(one["id"]) for one in page["data"]]
    return page


def retrieve(call: Call) -> Object:
    """GET /v1/events/:id"""
    webhooks = call.account.webhooks
    event = webhooks.event(call.ids[0]) if call.ids[0] in webhooks.payloads else None
    if event is None or event["created"] < call.account.clock.now() - KEPT_SECONDS:
        raise missing("event", call.ids[0])
    return event


def retry(call: Call) -> Object:
    """POST /v1/events/:id/retry: as `stripe events resend` calls it."""
    retrieve(call)
    call.account.webhooks.resend(call.ids[0], call.form.get("webhook_endpoint"))
    return retrieve(call)


ROUTES = {
    "GET /v1/events": list_,
    "GET /v1/events/*": retrieve,
    "POST /v1/events/*/retry": retry,
}
