"""The pages of Stripe's documentation about an operation and about an error."""

from stripe_simulator.store import Object

API = "https://docs.stripe.com/api/"
ACTIONS = {"GET": "retrieve", "POST": "update", "DELETE": "delete"}
EXCEPTIONS = {
    "GET /v1/balance": "balance/balance_retrieve",
    "GET /v1/customers/*/payment_methods": "payment_methods/customer_list",
    "GET /v1/customers/*/payment_methods/*": "payment_methods/customer",
    "DELETE /v1/customers/*/discount": "discounts/delete",
    "POST /v1/test_helpers/confirmation_tokens": "confirmation_tokens/test_create",
    "POST /v1/test_helpers/refunds/*/expire": "refunds",
    "POST /v1/events/*/retry": "events",
}
NOT_DOCUMENTED = ("/v1/payment_pages/", "/v1/stripecli/")
"""The paths that only Stripe's own programs call."""
RESOURCES_WITH_TWO_SEGMENTS = ("checkout/sessions", "radar/early_fraud_warnings")


def operation_page(operation: str | None) -> str | None:
    """Return the page of an operation such as `POST /v1/refunds/*/cancel`, or None if Stripe documents none."""
    if not operation or any(path in operation for path in NOT_DOCUMENTED):
        return None
    if operation in EXCEPTIONS:
        return API + EXCEPTIONS[operation]
    method, _, path = operation.partition(" /v1/")
    resource = next((one for one in RESOURCES_WITH_TWO_SEGMENTS if path.startswith(one)), path.split("/")[0])
    rest = path.removeprefix(resource).strip("/").split("/")
    if rest == [""]:
        action = "list" if method == "GET" else "create"
    else:
        action = rest[-1] if rest[-1] != "*" else ACTIONS[method]
    return f"{API}{resource}/{action}"


def error_pages(error: Object) -> list[tuple[str, str]]:
    """Return the pages about an error, each with its name."""
    pages = []
    code, decline_code = error.get("code"), error.get("decline_code")
    if code:
        pages.append((f"Error code {code}", f"https://docs.stripe.com/error-codes#{code.replace('_', '-')}"))
    if decline_code:
        pages.append((f"Decline code {decline_code}", "https://docs.stripe.com/declines/codes"))
    if error["type"] == "idempotency_error":
        pages.append(("Idempotent requests", f"{API}idempotent_requests"))
    return pages or [("Errors", f"{API}errors")]
