"""Close or rebuild what Stripe has of an open payment that is missing here, after a restore."""

from tuition import clock
from tuition.core import payment as payments
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import PaymentInProgress
from tuition.core.refs import Customer, PaymentRef
from tuition.storage import ledger
from tuition.stripe_gateway import closing, objects, rebuild, sync
from tuition.stripe_gateway.objects import StripeObject


def close_or_rebuild(ref: PaymentRef, customer: Customer | None) -> bool:
    """Close what Stripe has of a missing open payment. Return True if it was paid and the payment was rebuilt.

    Raises `PaymentInProgress` while a bank decides.
    """
    stripe_objects = objects.in_customers_name(customer.stripe_customer_id, ref.payment_id) if customer else []
    return any(close_or_rebuild_object(ref, stripe_object) for stripe_object in stripe_objects)


def close_or_rebuild_object(ref: PaymentRef, stripe_object: StripeObject) -> bool:
    """Do the same for one of its objects. Raises as `close_or_rebuild`."""
    if payments.status(sync.fetch_unbound(stripe_object)) != "PROCESSING":
        stripe_object.close()
    if payments.status(sync.fetch_unbound(stripe_object)) in payments.OPEN_STATUSES:
        raise PaymentInProgress(closing.PROCESSING)
    entry = AuditEntry(timestamps.iso(clock.now()), "pull:0", "rebuilt", "pull")
    return bool(ledger.update(ref, lambda state: rebuild.change(ref, state, stripe_object, entry)).payment)
