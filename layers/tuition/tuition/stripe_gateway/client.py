"""The calls to Stripe, each with a timeout and bounded retries. Only this module imports `stripe`.

`stripe` is imported at the first call, so a function that rarely calls Stripe starts faster. A function that always
calls it imports it at its start (`load`).

A call has one of three results:
- an `Answer`: Stripe did it, now or (`replayed`) at an earlier call with the same idempotency key;
- `StripeRefused`: a definite no, nothing was done;
- `StripeUnavailable`: no definite answer. The same call can be repeated with the same key.

Sources: https://docs.stripe.com/api/idempotent_requests, https://docs.stripe.com/error-low-level
"""

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from tuition import clock, metrics, retry
from tuition.core.errors import NotConfigured, StripeRefused, StripeUnavailable
from tuition.settings import is_stripe_key_replaced, settings, stripe_secret_key

if TYPE_CHECKING:
    from stripe import HTTPClient, StripeClient, StripeError, StripeObject

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 8.0
MIN_TIME_FOR_RETRY_S = 0.5

Listed = Literal[
    "events",
    "payment_intents",
    "checkout_sessions",
    "charges",
    "refunds",
    "disputes",
    "early_fraud_warnings",
    "balance_transactions",
    "payouts",
]


class Answer(NamedTuple):
    """Stripe's object as a plain dict. `date` is the time of the answer by Stripe's clock, in epoch seconds."""

    object: dict[str, Any]
    date: int
    replayed: bool


# --- the calls ---


def retrieve_intent(intent_id: str) -> Answer:
    """Retrieve a PaymentIntent with its latest charge: https://docs.stripe.com/api/payment_intents/retrieve."""
    return _ask(lambda c, o: c.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]}, o))


def create_intent(params: Mapping[str, Any], key: str) -> Answer:
    """Create a PaymentIntent: https://docs.stripe.com/api/payment_intents/create."""
    return _ask(lambda c, o: c.v1.payment_intents.create(cast(Any, params), o), key)


def confirm_intent(intent_id: str, params: Mapping[str, Any], key: str) -> Answer:
    """Confirm a PaymentIntent: https://docs.stripe.com/api/payment_intents/confirm."""
    return _ask(lambda c, o: c.v1.payment_intents.confirm(intent_id, cast(Any, params), o), key)


def cancel_intent(intent_id: str) -> Answer:
    """Cancel a PaymentIntent: https://docs.stripe.com/api/payment_intents/cancel."""
    return _ask(lambda c, o: c.v1.payment_intents.cancel(intent_id, {}, o), _fresh_key())


def retrieve_charge(charge_id: str) -> Answer:
    """Retrieve a charge: https://docs.stripe.com/api/charges/retrieve."""
    return _ask(lambda c, o: c.v1.charges.retrieve(charge_id, {}, o))


def retrieve_session(session_id: str) -> Answer:
    """Retrieve a Checkout Session with its PaymentIntent, the latest charge of that, and its promotion codes.

    https://docs.stripe.com/api/checkout/sessions/retrieve
    """
    expand = ["payment_intent.latest_charge", "discounts.promotion_code.promotion.coupon"]
    return _ask(lambda c, o: c.v1.checkout.sessions.retrieve(session_id, {"expand": expand}, o))


def create_session(params: Mapping[str, Any], key: str) -> Answer:
    """Create a Checkout Session: https://docs.stripe.com/api/checkout/sessions/create."""
    return _ask(lambda c, o: c.v1.checkout.sessions.create(cast(Any, params), o), key)


def expire_session(session_id: str) -> Answer:
    """Expire a Checkout Session: https://docs.stripe.com/api/checkout/sessions/expire."""
    return _ask(lambda c, o: c.v1.checkout.sessions.expire(session_id, {}, o), _fresh_key())


def find_session_of_intent(intent_id: str) -> str | None:
    """Return the id of the Checkout Session that created this PaymentIntent; None if there is none."""
    sessions = _list("checkout_sessions", payment_intent=intent_id)
    return cast(str, sessions[0]["id"]) if sessions else None


def list_promotion_codes(code: str, customer_id: str | None = None) -> Answer:
    """List the promotion codes with this text, of one customer or of all, active or not, each with its coupon.

    https://docs.stripe.com/api/promotion_codes/list
    """
    expand = ("promotion.coupon.applies_to", "promotion.coupon.currency_options", "restrictions.currency_options")
    params: dict[str, Any] = {"code": code, "limit": 100, "expand": [f"data.{path}" for path in expand]}
    params |= {"customer": customer_id} if customer_id else {}
    return _ask(lambda c, o: c.v1.promotion_codes.list(cast(Any, params), o))


def list_intents(customer_id: str) -> list[dict[str, Any]]:
    """List every PaymentIntent of a customer: https://docs.stripe.com/api/payment_intents/list."""
    return _list("payment_intents", customer=customer_id)


def list_charges(customer_id: str) -> list[dict[str, Any]]:
    """List every charge of a customer, failed ones too: https://docs.stripe.com/api/charges/list."""
    return _list("charges", customer=customer_id)


def list_newest_charges(intent_id: str) -> list[dict[str, Any]]:
    """List the newest hundred charges of a PaymentIntent: https://docs.stripe.com/api/charges/list."""
    params = {"payment_intent": intent_id, "limit": 100}
    return cast(list[dict[str, Any]], _ask(functools.partial(_page, "charges", params)).object["data"])


def list_sessions(customer_id: str) -> list[dict[str, Any]]:
    """List every Checkout Session of a customer: https://docs.stripe.com/api/checkout/sessions/list."""
    return _list("checkout_sessions", customer=customer_id)


def create_customer(params: Mapping[str, Any], key: str) -> Answer:
    """Create a customer: https://docs.stripe.com/api/customers/create."""
    return _ask(lambda c, o: c.v1.customers.create(cast(Any, params), o), key)


def retrieve_customer(customer_id: str) -> Answer:
    """Retrieve a customer. A deleted customer has `deleted: true`.

    https://docs.stripe.com/api/customers/retrieve
    """
    return _ask(lambda c, o: c.v1.customers.retrieve(customer_id, {}, o))


def update_customer(customer_id: str, params: Mapping[str, Any]) -> Answer:
    """Update a customer: https://docs.stripe.com/api/customers/update."""
    return _ask(lambda c, o: c.v1.customers.update(customer_id, cast(Any, params), o), _fresh_key())


def delete_customer(customer_id: str) -> Answer:
    """Delete a customer for good, with the saved payment methods: https://docs.stripe.com/api/customers/delete."""
    return _ask(lambda c, o: c.v1.customers.delete(customer_id, {}, o))


def search_customers(query: str, page: str | None) -> Answer:
    """Return one page of the customers that match a query, without deleted ones. `next_page` is the next, if any.

    A customer is found up to an hour after it was created. https://docs.stripe.com/api/customers/search
    """
    params: Any = {"query": query, "limit": 100} | ({"page": page} if page else {})
    return _ask(lambda c, o: c.v1.customers.search(params, o))


def list_payment_methods(customer_id: str, limit: int, after: str | None) -> Answer:
    """List one page of a customer's saved payment methods: https://docs.stripe.com/api/payment_methods/customer_list."""
    params: dict[str, Any] = {"limit": limit, **({"starting_after": after} if after else {})}
    return _ask(lambda c, o: c.v1.customers.payment_methods.list(customer_id, cast(Any, params), o))


def retrieve_payment_method(customer_id: str, method_id: str) -> Answer:
    """Retrieve a payment method of this customer: https://docs.stripe.com/api/payment_methods/customer."""
    return _ask(lambda c, o: c.v1.customers.payment_methods.retrieve(customer_id, method_id, {}, o))


def find_customer_of_method(method_id: str) -> str | None:
    """Return the customer to whom a payment method is attached; None if it is missing or attached to none.

    https://docs.stripe.com/api/payment_methods/retrieve
    """
    try:
        method = _ask(lambda c, o: c.v1.payment_methods.retrieve(method_id, {}, o)).object
    except StripeRefused as refused:
        if refused.code != "resource_missing":
            raise
        return None
    return cast(str | None, method["customer"])


def detach_payment_method(method_id: str) -> Answer:
    """Detach a payment method. It can never be used again.

    https://docs.stripe.com/api/payment_methods/detach
    """
    return _ask(lambda c, o: c.v1.payment_methods.detach(method_id, {}, o), _fresh_key())


def create_setup_intent(params: Mapping[str, Any], key: str) -> Answer:
    """Create a SetupIntent: https://docs.stripe.com/api/setup_intents/create."""
    return _ask(lambda c, o: c.v1.setup_intents.create(cast(Any, params), o), key)


def retrieve_setup_intent(setup_intent_id: str) -> Answer:
    """Retrieve a SetupIntent: https://docs.stripe.com/api/setup_intents/retrieve."""
    return _ask(lambda c, o: c.v1.setup_intents.retrieve(setup_intent_id, {}, o))


def cancel_setup_intent(setup_intent_id: str) -> Answer:
    """Cancel a SetupIntent: https://docs.stripe.com/api/setup_intents/cancel."""
    return _ask(lambda c, o: c.v1.setup_intents.cancel(setup_intent_id, {}, o), _fresh_key())


def list_setup_intents(customer_id: str, method_id: str) -> Answer:
    """List the newest hundred SetupIntents of a customer with one method: https://docs.stripe.com/api/setup_intents/list."""
    params: Any = {"customer": customer_id, "payment_method": method_id, "limit": 100}
    return _ask(lambda c, o: c.v1.setup_intents.list(params, o))


def create_refund(params: Mapping[str, Any], key: str) -> Answer:
    """Create a refund: https://docs.stripe.com/api/refunds/create."""
    return _ask(lambda c, o: c.v1.refunds.create(cast(Any, params), o), key)


def list_refunds(**of: str) -> list[dict[str, Any]]:
    """List every refund of a `payment_intent` or a `charge`: https://docs.stripe.com/api/refunds/list."""
    return _list("refunds", **of)


def retrieve_invoice(invoice_id: str) -> Answer:
    """Retrieve an invoice: https://docs.stripe.com/api/invoices/retrieve."""
    return _ask(lambda c, o: c.v1.invoices.retrieve(invoice_id, {}, o))


def list_credit_notes(invoice_id: str) -> list[dict[str, Any]]:
    """List the newest hundred credit notes of an invoice: https://docs.stripe.com/api/credit_notes/list."""
    params: Any = {"invoice": invoice_id, "limit": 100}
    return cast(list[dict[str, Any]], _ask(lambda c, o: c.v1.credit_notes.list(params, o)).object["data"])


def create_credit_note(params: Mapping[str, Any], key: str) -> Answer:
    """Create a credit note: https://docs.stripe.com/api/credit_notes/create."""
    return _ask(lambda c, o: c.v1.credit_notes.create(cast(Any, params), o), key)


def list_disputes(**of: str) -> list[dict[str, Any]]:
    """List every dispute of a `payment_intent` or a `charge`: https://docs.stripe.com/api/disputes/list."""
    return _list("disputes", **of)


def retrieve_dispute(dispute_id: str) -> Answer:
    """Retrieve a dispute: https://docs.stripe.com/api/disputes/retrieve."""
    return _ask(lambda c, o: c.v1.disputes.retrieve(dispute_id, {}, o))


def submit_evidence(dispute_id: str, evidence: Mapping[str, str], key: str) -> Answer:
    """Submit the evidence for a dispute to the bank: https://docs.stripe.com/api/disputes/update."""
    params: Any = {"evidence": evidence, "submit": True}
    return _ask(lambda c, o: c.v1.disputes.update(dispute_id, params, o), key)


def list_balance_transactions(source: str) -> list[dict[str, Any]]:
    """List the newest balance transactions of a charge, refund or dispute: a few at most, with their source.

    https://docs.stripe.com/api/balance_transactions/list
    """
    params: Any = {"source": source, "limit": 100, "expand": ["data.source"]}
    return cast(list[dict[str, Any]], _ask(functools.partial(_page, "balance_transactions", params)).object["data"])


def list_created(listed: Listed, first: int, last: int, after: str | None, types: Sequence[str] = ()) -> Answer:
    """List one page of the objects created from `first` to `last` (epoch seconds, both inclusive), newest first.

    `after` is the id after which the page starts. `types` (at most 20) selects types of events. Balance transactions
    have their sources expanded.
    https://docs.stripe.com/api/pagination
    """
    params: dict[str, Any] = {"created": {"gte": first, "lte": last}, "limit": 100}
    params |= {"starting_after": after} if after else {}
    params |= {"types": list(types)} if types else {}
    params |= {"expand": ["data.source"]} if listed == "balance_transactions" else {}
    return _ask(functools.partial(_page, listed, params))


def list_paid_out(payout: str, after: str | None) -> Answer:
    """List one page of the balance transactions that an automatic payout includes, with their sources, newest first.

    `after` is the id after which the page starts. Raises `StripeRefused` for a manual payout.
    https://docs.stripe.com/payouts/reconciliation
    """
    params: dict[str, Any] = {"payout": payout, "limit": 100, "expand": ["data.source"]}
    params |= {"starting_after": after} if after else {}
    return _ask(functools.partial(_page, "balance_transactions", params))


def retry_rate_limits[**P, T](act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `act` again while Stripe rate-limits it. Stripe refuses such a call before it does anything."""
    for attempt in retry.attempts(retry.STRIPE_RATE_LIMIT):
        if attempt > 1:
            clock.start_deadline()
        try:
            return act(*args, **kwargs)
        except StripeUnavailable as unavailable:
            if unavailable.status != 503 or attempt == retry.STRIPE_RATE_LIMIT.attempts:
                raise
    raise AssertionError("the last attempt returns or raises")


# --- making a call ---


def load() -> None:
    """Import `stripe` at the start of a Lambda, while it has the whole processor."""
    import requests  # noqa: F401
    import stripe  # noqa: F401


class Pace:
    """The time between two calls of this process (`STRIPE_CALL_INTERVAL_MS`). The reconciler and the export have one.

    The reconciler's invocations share Stripe's limit of 25 requests per second and endpoint. Their number is bounded
    (`ReconcileConcurrency`), so a bound for each of them holds for all together. https://docs.stripe.com/rate-limits
    """

    def __init__(self) -> None:
        self._next = 0.0

    def wait(self) -> None:
        """Wait until the next call may start."""
        interval_s = settings().stripe_call_interval_ms / 1000
        if interval_s:
            now = clock.monotonic()
            clock.wait_s(self._next - now)
            self._next = max(now, self._next) + interval_s


pace = Pace()
Operation = Callable[["StripeClient", Any], "StripeObject"]


def _fresh_key() -> str:
    """Return a key for a call that is idempotent anyway: only the attempts of this one call share it."""
    return str(uuid.uuid4())


_LISTS: Mapping[Listed, Callable[["StripeClient"], Any]] = {
    "events": lambda c: c.v1.events,
    "payment_intents": lambda c: c.v1.payment_intents,
    "checkout_sessions": lambda c: c.v1.checkout.sessions,
    "charges": lambda c: c.v1.charges,
    "refunds": lambda c: c.v1.refunds,
    "disputes": lambda c: c.v1.disputes,
    "early_fraud_warnings": lambda c: c.v1.radar.early_fraud_warnings,
    "balance_transactions": lambda c: c.v1.balance_transactions,
    "payouts": lambda c: c.v1.payouts,
}


def _list(listed: Listed, **filters: str) -> list[dict[str, Any]]:
    """Read every page of a list."""
    objects: list[dict[str, Any]] = []
    while True:
        params = {**filters, "limit": 100, **({"starting_after": objects[-1]["id"]} if objects else {})}
        page = _ask(functools.partial(_page, listed, params)).object
        objects += page["data"]
        if not page["has_more"]:
            return objects


def _page(listed: Listed, params: Any, client: "StripeClient", options: Any) -> Any:
    return _LISTS[listed](client).list(params, options)


def _ask(operation: Operation, key: str | None = None) -> Answer:
    """Make a call. Retry it without a definite answer: a lost answer, a 5xx, or a race with another call of ours.

    A 401 did nothing at Stripe: our key was rotated. Once per call the secret is read again for the new key.
    """
    import stripe

    options = {"idempotency_key": key} if key else {}
    is_key_fresh = False
    for attempt in retry.attempts(retry.STRIPE_RACE):
        secret_key = stripe_secret_key()
        try:
            return _answer(operation(_client_for(secret_key), options))
        except stripe.StripeError as error:
            if error.http_status == 401 and not is_key_fresh and clock.remaining_s() >= MIN_TIME_FOR_RETRY_S:
                is_key_fresh = True
                if is_stripe_key_replaced(secret_key):
                    continue
            limit = retry.STRIPE_RACE if _is_race(error) else retry.STRIPE
            if not _may_repeat(error) or attempt >= limit.attempts or clock.remaining_s() < MIN_TIME_FOR_RETRY_S:
                raise _to_our_error(error) from error
    raise AssertionError("the last attempt returns or raises")


def _answer(obj: "StripeObject") -> Answer:
    response = cast(Any, obj).last_response  # its data is plain at every level; `to_dict` leaves objects inside maps
    date = int(parsedate_to_datetime(response.headers["date"]).timestamp())
    return Answer(response.data, date, response.headers.get("idempotent-replayed") == "true")


def _is_race(error: "StripeError") -> bool:
    """Whether another request of ours is using the key (409) or the object (429 `lock_timeout`)."""
    return error.http_status == 409 or _code(error) == "lock_timeout"


def _code(error: "StripeError") -> str | None:
    """Return Stripe's error code. The package sets it for some classes of errors only; the body always has it."""
    return cast(str | None, error.code or (error.error and error.error.code))


def _is_replayed(error: "StripeError") -> bool:
    return (error.headers or {}).get("idempotent-replayed") == "true"


def _may_repeat(error: "StripeError") -> bool:
    """Whether to retry: there was no definite answer. A rate limit (429) is left to the caller, with Retry-After."""
    headers = error.headers or {}
    if _is_race(error):
        return True
    if headers.get("stripe-should-retry") == "false" or _is_replayed(error):
        return False
    return error.http_status is None or error.http_status >= 500


def _to_our_error(error: "StripeError") -> StripeRefused | StripeUnavailable | NotConfigured:
    import requests
    import stripe

    details = f"{type(error).__name__} {_code(error) or ''} {error.request_id or ''}".strip()
    status = error.http_status
    if isinstance(error, stripe.APIConnectionError) or status is None:
        timed_out = isinstance(error.__cause__, requests.Timeout)
        return StripeUnavailable(f"Stripe did not answer. Try again. ({details})", 504 if timed_out else 502)
    if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        return NotConfigured(f"Stripe refuses our key ({details}). See docs/setup.md.")
    if "a similar object exists in" in str(error):
        return NotConfigured(f"Stripe's key is of the other mode ({details}). See docs/setup.md.")
    if status == 429 and not _is_race(error):
        metrics.count("StripeRateLimited")
    if status == 429 or _is_race(error):
        return StripeUnavailable(f"Stripe is busy. Try again. ({details})", 503)
    if status >= 500:
        return StripeUnavailable(f"Stripe failed. Try again. ({details})", 502, replayed=_is_replayed(error))
    type_ = "idempotency_error" if isinstance(error, stripe.IdempotencyError) else type(error).__name__
    reason = error.user_message or details
    param = cast(str | None, getattr(error, "param", None))
    return StripeRefused(reason, status, type_, _code(error), param, replayed=_is_replayed(error))


@functools.cache
def _client_for(secret_key: str) -> "StripeClient":
    import stripe

    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": settings().stripe_api_base},
        max_network_retries=0,
        http_client=_http_client(),
    )


def _http_client() -> "HTTPClient":
    """Return an HTTP client that keeps connections open and never waits beyond the deadline of the invocation."""
    import requests
    import stripe

    class Session(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> requests.Response:
            pace.wait()
            kwargs["timeout"] = (CONNECT_TIMEOUT_S, max(0.5, min(READ_TIMEOUT_S, clock.remaining_s())))
            return super().request(*args, **kwargs)

    return stripe.RequestsClient(session=Session())
