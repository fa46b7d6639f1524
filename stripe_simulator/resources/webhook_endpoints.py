"""Webhook endpoints.

https://docs.stripe.com/api/webhook_endpoints
"""

from stripe_simulator import lists, validation
from stripe_simulator.account import Account, Call
from stripe_simulator.params import merge_metadata
from stripe_simulator.store import Object, public_fields
from stripe_simulator.version import family_of


def configure(account: Account, url: str, secret: str | None) -> Object:
    """Return the endpoint of the command line. It receives every event, and a reset keeps it."""
    validation.check_url({"url": url}, "url")
    for endpoint in account.store.all("webhook_endpoint"):
        if endpoint.get("_configured"):  # from --data: keep the endpoint, and its secret unless a new one is passed
            endpoint["url"] = url
            endpoint["_secrets"][:] = [secret or endpoint["_secrets"][0]]
            return endpoint
    with account.store.random_stream("configured"):
        endpoint = _add(account, url, ["*"], secret)
    endpoint["_configured"] = True
    return endpoint


def _add(account: Account, url: str, events: list[str], secret: str | None) -> Object:
    return account.store.add(
        {
            "id": f"we_1{account.store.token(23)}",
            "object": "webhook_endpoint",
            "api_version": None,
            "application": None,
            "created": account.clock.unix(),
            "description": None,
            "enabled_events": events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
            "_secrets": [secret or f"whsec_{account.store.token(32)}"],
        }
    )


def create(call: Call) -> Object:
    """POST /v1/webhook_endpoints. Only this response includes the secret.

    The events for the endpoint name its `api_version`. Their objects have the shape of the simulator's version.
    """
    validation.check_url(call.params, "url")
    api_version = call.params.get("api_version") or None
    if api_version is not None:
        family_of(api_version, "api_version")
    endpoint = _add(call.account, call.params["url"], call.params["enabled_events"], None)
    endpoint["api_version"] = api_version
    endpoint["description"] = call.params.get("description") or None
    endpoint["metadata"] = merge_metadata({}, call.params.get("metadata", {}))
    return public_fields(endpoint) | {"secret": endpoint["_secrets"][0]}


def retrieve(call: Call) -> Object:
    """GET /v1/webhook_endpoints/:id."""
    return public_fields(call.store.get("webhook_endpoint", call.ids[0]))


def update(call: Call) -> Object:
    """POST /v1/webhook_endpoints/:id."""
    endpoint = call.store.get("webhook_endpoint", call.ids[0])
    validation.check_url(call.params, "url")
    for name in ("description", "enabled_events", "url"):
        if name in call.params:
            endpoint[name] = call.params[name] or None
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    if "metadata" in call.params:
        endpoint["metadata"] = merge_metadata(endpoint["metadata"], call.params["metadata"])
    return public_fields(endpoint)


def delete(call: Call) -> Object:
    """DELETE /v1/webhook_endpoints/:id."""
    endpoint = call.store.get("webhook_endpoint", call.ids[0])
    del call.store.objects["webhook_endpoint"][endpoint["id"]]
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def list_(call: Call) -> Object:
    """GET /v1/webhook_endpoints."""
    return lists.page(call.store.all("webhook_endpoint"), call.params, call.path, "webhook endpoint")


ROUTES = {
    "POST /v1/webhook_endpoints": create,
    "GET /v1/webhook_endpoints": list_,
    "GET /v1/webhook_endpoints/*": retrieve,
    "POST /v1/webhook_endpoints/*": update,
    "DELETE /v1/webhook_endpoints/*": delete,
}
