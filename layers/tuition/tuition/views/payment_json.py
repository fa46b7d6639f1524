"""A payment as the API shows it."""

from typing import Any

from tuition import clock
from tuition.core import payment as core
from tuition.core.payment import Payment
from tuition.storage import mapping
from tuition.storage.items import PaymentItem

_FIELDS = (
    *("payment_id", "stripe_payment_intent", "track", "status", "amount", "currency", "payment_method"),
    *("receipt_url", "refunded", "refund_amount", "refund_reason", "refunded_at", "created_at", "updated_at"),
)
_STAFF_FIELDS = ("user_id", "email", "stripe_customer_id", "stripe_charge_id", "stripe_checkout_session")


def item_json(item: PaymentItem, *, staff: bool = False) -> dict[str, Any]:
    """A payment as the API shows it, with the reason of its failure, and what its student last asked to have back.

    Its attention depends on others too: `tuition.console` adds it.
    """
    found = {name: getattr(item, name) for name in _FIELDS}
    payment = mapping.payment_from_item(item)
    failure = core.failure(payment.facts)
    found["failure"] = vars(failure if staff else failure.for_student()) if failure else None
    found["payment_intent_id"] = found.pop("stripe_payment_intent")
    found["amount"], found["refund_amount"] = int(item.amount), int(item.refund_amount)
    if staff:
        found |= {name: getattr(item, name) for name in _STAFF_FIELDS}
        found |= {"attention": [], "version": int(item.version)}
    else:
        asked = [request for request in payment.requests if request.by == item.user_id]
        found["refund_request"] = asked[-1].for_student() if asked else None
    return found


def payment_json(payment: Payment, *, staff: bool = False) -> dict[str, Any]:
    """A payment as the API shows it; for staff with what only they see."""
    return item_json(mapping.payment_to_item(payment, clock.now(), double=False), staff=staff)
