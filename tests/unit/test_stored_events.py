"""The fields that are removed from an event before it is stored, compared with those of the `stripe` package."""

import re
from collections.abc import Iterator

import pytest
from stripe._stripe_object import StripeObject

from tests.stripe.typed_responses import CLASSES, fields_of
from tuition.storage import quarantine

KINDS = (
    *("payment_intent", "checkout.session", "charge", "refund", "dispute", "radar.early_fraud_warning"),
    *("payment_method", "customer", "card", "bank_account"),
)
"""The objects of events, and those that Stripe may expand in them."""
SAYS_WHO = re.compile(
    r"(.*_)?(name|email|phone|address|owner|dob|vpa|cashtag|iban|account_number|tax_ids?|activity_log|purchase_ip)"
    r"|(customer|account_holder|cardholder|payer|buyer|verified|email)_.*"
)
SAYS_NOTHING = {
    *("bank_address", "bank_name", "branch_name", "display_name", "application_preferred_name", "dedicated_file_name"),
    *("account_holder_type", "cardholder_verification_method", "customer_account", "customer_approval_required"),
    *("customer_balance", "customer_cash_balance", "customer_creation", "customer_notification", "customer_reference"),
    *("customer_update", "email_sent", "email_sent_at", "account_tax_ids", "verified_at"),
}


def fields(cls: type[StripeObject]) -> Iterator[str]:
    """Yield the name of each field of a class and of the classes in it."""
    yield from fields_of(cls)
    for inner in vars(cls).values():
        if isinstance(inner, type) and inner.__qualname__.startswith(cls.__qualname__ + "."):
            yield from fields(inner)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_says_who_a_student_is_is_removed(kind: str) -> None:
    personal = {name for name in fields(CLASSES[kind]) if SAYS_WHO.fullmatch(name)} - SAYS_NOTHING
    left = {name for name in personal if quarantine._without_private_fields({name: "x"})}
    assert left == set()
