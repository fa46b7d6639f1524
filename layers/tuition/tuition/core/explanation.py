"""Why a payment gives access or not, in words for staff and for the student. The rules are in `core/payment.py`."""

from collections.abc import Mapping

from tuition.core import payment as payments
from tuition.core.payment import NoAccess, Payment, Status

FOR_STAFF: Mapping[NoAccess, str] = {
    "revoked": "staff revoked it",
    "dispute_lost": "a dispute was decided against the school",
    "refunded": "it was refunded in full",
    "withdrawn": "the student withdrew from the contract",
    "amount_differs": "the amount received is not the price, and staff have not accepted it",
}
UNPAID_FOR_STAFF: Mapping[Status, str] = {
    "CREATED": "it was not paid yet",
    "PROCESSING": "a bank is still processing it",
    "FAILED": "the last try to pay failed",
    "CANCELED": "it was closed before it was paid",
}
FOR_STUDENT: Mapping[NoAccess, str] = {
    "revoked": "because the school ended your access. Write to {contact} if you have questions.",
    "dispute_lost": "because your bank took the payment back. Write to {contact} if this is a mistake.",
    "refunded": "because your payment was refunded in full.",
    "withdrawn": "because you withdrew from the contract.",
    "amount_differs": "because the amount that we received is not the price. The school is reviewing your payment.",
}
UNPAID_FOR_STUDENT: Mapping[Status, str] = {
    "CREATED": "because you have not paid yet. You can complete the payment.",
    "PROCESSING": "because your bank is still processing the payment. That can take some days.",
    "FAILED": "because your last try to pay failed. You can try again.",
    "CANCELED": "because the payment was closed before it was paid. You can buy the track again.",
}


def for_staff(payment: Payment, enrollment: str | None) -> str:
    """Return why a payment gives access or not, and what that means for its student, who may have other payments."""
    product = payment.product
    if payments.grants_access(payment):
        if enrollment == "ENROLLED":
            return f"The student is enrolled in {product}: this payment was paid, and nothing has ended its access."
        return "This payment was paid and gives access, but the student is not enrolled. Run the audit, and look at it."
    reason = payments.no_access_reason(payment)
    why = FOR_STAFF[reason] if reason else UNPAID_FOR_STAFF[payment.status]
    other = {
        "ENROLLED": f"The student is enrolled in {product} by another payment.",
        "PENDING": f"The student is not enrolled in {product}. A payment is open.",
    }
    rest = other.get(enrollment or "", f"The student is not enrolled in {product}.")
    return f"This payment gives no access, because {why}. {rest}"


def for_student(payment: Payment | None, title: str, contact: str) -> str:
    """Return why the student is enrolled in a track or not, by the payment that decides it, if there is one."""
    if payment is None:
        return f"You are not enrolled in {title}, because you have not bought it."
    if payments.grants_access(payment):
        return f"You are enrolled in {title}, because your payment was received."
    reason = payments.no_access_reason(payment)
    why = FOR_STUDENT[reason] if reason else UNPAID_FOR_STUDENT[payment.status]
    return f"You are not enrolled in {title}, {why.format(contact=contact or 'the school')}"
