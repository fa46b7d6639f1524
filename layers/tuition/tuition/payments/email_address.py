"""Correct the email address of a user: at Stripe, in the customer item, and in their payments with its index keys.

A student's address is the verified one of their token. Staff type one for a student who cannot sign in. Each payment
that changes has a record, and so has the user: ids only, never an address. A mark that the old address is undeliverable
is removed. The address of a withdrawal stays, because it is part of what the student declared. While staff hold the
user's data nothing is corrected. A repeated request continues after a failure, and changes nothing afterwards.
"""

import re
import uuid
from collections.abc import Callable, Iterator

from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry, Source
from tuition.core.errors import Conflicted, Contended, NotFound, StripeRefused, Unprocessable
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.published_events import EMAIL_CORRECTED_RECORD
from tuition.core.refs import Customer, is_user_id
from tuition.payments import customers, legal_hold
from tuition.storage import dynamodb, effects, ledger, limits, mapping, queries
from tuition.storage.items import CustomerItem
from tuition.storage.ledger import Change, CustomerChange
from tuition.stripe_gateway import client as stripe_client

MAX_PAYMENTS = 100
"""Payments that one request corrects. The next request continues."""
MAX_PAGES = 200
"""Pages of payments that one request reads, the corrected ones too."""
MAX_ADDRESS_LENGTH = 254
"""https://www.rfc-editor.org/rfc/rfc3696#section-3, with its erratum 1690"""
LAST_S = 6.0
"""With less time than this a request leaves the rest to the next one."""
REQUESTS = 10
"""As how many requests to Stripe a correction counts in the student's limits."""
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def correct_own(user_id: str, email: str) -> dict[str, object]:
    """Correct a student's address to that of their token. Raises `LegalHold`, `TooManyRequests`, `Contended`."""
    customer, used = ledger.load_customer(user_id)
    limits.take_request(user_id, used, REQUESTS)
    return _correct(user_id, customer, email, user_id, "request", customers.send_email)


def correct_for(user_id: str, email: str, staff: str) -> dict[str, object]:
    """Correct a user's address to one that staff typed. Raises `Unprocessable`, `NotFound`, `Conflicted`."""
    if not (_is_plausible(email) and len(email) <= MAX_ADDRESS_LENGTH):
        raise Unprocessable("email must be an address such as ada@example.org", field="email")
    customer, _ = ledger.load_customer(user_id) if is_user_id(user_id) else (None, None)
    if not (customer or (is_user_id(user_id) and next(_payments(user_id), None))):
        raise NotFound("Nothing is stored for this user id.")
    return _correct(user_id, customer, email, staff, "staff", _send_typed)


def _is_plausible(email: str) -> bool:
    """Whether a text has the form of an address. Only its owner can say whether it is one."""
    return bool(_ADDRESS.fullmatch(email)) and email.isprintable()


def _correct(
    user_id: str,
    customer: Customer | None,
    email: str,
    actor: str,
    source: Source,
    send: Callable[[Customer, str], None],
) -> dict[str, object]:
    """Return how many payments were corrected, and whether all are: `complete`."""
    outdated = bool(customer and customer.email != email)
    wrong = _wrong(user_id, email)
    first = next(wrong, None)
    if first is None and not outdated:
        return {"payments": 0, "complete": True}
    if first is not None:
        _require_not_erased(first)  # before the record, which would say that an address was corrected
    _record_unless_held(user_id, actor, source)
    if customer and outdated:
        _forget(customer.email)
        send(customer, email)
    corrected = 0
    while first is not None and corrected < MAX_PAYMENTS and clock.remaining_s() > LAST_S:
        if legal_hold.is_held(user_id):  # since the record
            break
        _forget(first.email)
        _correct_payment(first, email, actor, source)
        corrected += 1
        try:
            first = next(wrong, None)
        except Contended:  # the next request reads on with more time
            break
    return {"payments": corrected, "complete": first is None}


def _forget(address: str | None) -> None:
    """Remove the mark of an undeliverable address before it is overwritten: an erasure could not find it afterwards."""
    if address:
        effects.forget_address(address)


def _record_unless_held(user_id: str, actor: str, source: Source) -> None:
    """Record the correction on the user's chain. Raises `LegalHold`: the old address may be what a hold is for."""
    entry = AuditEntry(timestamps.iso(clock.now()), f"email:{uuid.uuid4().hex}", EMAIL_CORRECTED_RECORD, source, actor)

    def change(item: CustomerItem, _seq: int) -> CustomerChange:
        legal_hold.require_none(item)
        return CustomerChange(entry, {})

    ledger.update_customer(user_id, change)


def _send_typed(customer: Customer, email: str) -> None:
    """Send an address that staff typed to Stripe, and remember it. Raises `Unprocessable` if Stripe rejects it.

    A verified address that Stripe rejects is remembered nevertheless (`customers.send_email`): it is no mistake.
    """
    try:
        stripe_client.update_customer(customer.stripe_customer_id, {"email": email})
    except StripeRefused as refused:
        if refused.param == "email":
            raise Unprocessable("Stripe does not accept this email address.", field="email") from refused
        if refused.code != "resource_missing":  # the next create replaces a customer that is missing at Stripe
            raise
    ledger.remember_email(customer, email)


def _correct_payment(payment: Payment, email: str, actor: str, source: Source) -> None:
    def decide(state: PaymentState) -> Change | None:
        current = state.payment
        if current is None or current.email == email:
            return None
        _require_not_erased(current)
        entry = AuditEntry(
            timestamps.iso(clock.now()), f"email:{current.version + 1}", EMAIL_CORRECTED_RECORD, source, actor
        )
        return Change(current.with_email(email), entry)

    ledger.update(payment.ref, decide)


def _require_not_erased(payment: Payment) -> None:
    if payment.facts.erased:
        raise Conflicted("This person's data were erased. Their address cannot be stored again.")


def _wrong(user_id: str, email: str) -> Iterator[Payment]:
    """Yield the payments with another address, the newest first."""
    return (payment for payment in _payments(user_id) if payment.email != email)


def _payments(user_id: str) -> Iterator[Payment]:
    """Yield the payments, the newest first. Raises `Contended` if they are more than one request can read."""
    pages = dynamodb.query_pages(queries.by_user(user_id), descending=True, limit=queries.PAGE_OF_PAYMENTS)
    for number, page in enumerate(pages):
        if number == MAX_PAGES or clock.remaining_s() <= LAST_S:
            raise Contended("These are too many payments to read in one request. Try again.")
        for item in queries.payments_by_id([key["payment_id"]["S"] for key in page.items]):
            yield mapping.payment_from_item(item)
