"""Everything that is stored about one person, as the person or staff export it."""

from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.models import Model

from api_schema.about import About, Cursor, Email, Time, Track, UserId
from tuition.core.audit import Source
from tuition.core.emails import PlanEmailKind, StudentKind
from tuition.storage.items import CustomerItem, EnrollmentItem, LimitsItem, NoteItem, PaymentItem, PlanItem

_TYPES: dict[type[Attribute[Any]], Any] = {
    BooleanAttribute: bool | None,
    NumberAttribute: int | None,
    UnicodeAttribute: str | None,
    UnicodeSetAttribute: list[str] | None,
}
"""The JSON type of an attribute. A missing attribute is null."""
_JSON = Annotated[Any, About("A JSON value.", examples=[None])]


def _stored(name: str, model: type[Model], about: str) -> type:
    """Return the dataclass of an item with all of its attributes, so that none is left out of the document."""
    attributes = model.get_attributes().items()
    fields = [(key, _JSON if isinstance(one, JSONAttribute) else _TYPES[type(one)]) for key, one in attributes]
    return make_dataclass(name, fields, namespace={"__doc__": about}, module=__name__)


StoredPayment = _stored("StoredPayment", PaymentItem, "A payment, as it is stored.")
StoredCustomer = _stored("StoredCustomer", CustomerItem, "The person's Stripe customer, disputes, refunds and blocks.")
StoredEnrollment = _stored("StoredEnrollment", EnrollmentItem, "The enrollment in one track (`sort_key`).")
StoredPlan = _stored("StoredPlan", PlanItem, "A plan, as it is stored.")
StoredNote = _stored("StoredNote", NoteItem, "A note or the tags of staff, about the person or a payment (`sort_key`).")
StoredLimits = _stored("StoredLimits", LimitsItem, "The used-up part of the person's limits.")


@dataclass
class PersonalRecord:
    """An audit record of the person, or of one of their payments."""

    at: Time
    recorded_at: Time
    seq: Annotated[int, About(examples=[1])]
    event_id: Annotated[str, About(examples=["evt_1"])]
    type: Annotated[str, About(examples=["payment_intent.succeeded"])]
    source: Annotated[Source, About(examples=["webhook"])]
    actor: Annotated[str | None, About("The person's own id, or `staff`.", examples=["ada"])]
    track: Annotated[Track | None, About(examples=["DP"])]
    transition: Annotated[dict[str, Any], About("The changes.", examples=[{"settled": 49900, "currency": "usd"}])]
    hash: Annotated[str, About(examples=["60303a"])]


@dataclass
class PersonalEmail:
    """An email about a payment: whether it was sent, and when. The text is not stored."""

    kind: Annotated[StudentKind | PlanEmailKind, About(examples=["access_ended"])]
    state: Annotated[str, About("`claimed`, `sent`, `skipped` or `unsent`.", examples=["sent"])]
    reason: Annotated[str | None, About("Why it was skipped.", examples=[None])]
    at: Time
    message_id: Annotated[str | None, About("The id of the email at Amazon SES.", examples=["0100-1"])]


@dataclass
class PersonalPayment:
    """A payment with its audit records and emails."""

    attributes: StoredPayment  # type: ignore[valid-type]  # made from the item's model
    records: list[PersonalRecord]
    emails: list[PersonalEmail]
    search_words: Annotated[
        list[str], About("The words by which staff find the payment.", examples=[["ada", "example"]])
    ]


@dataclass
class PersonalPlan:
    """A plan with its own audit records and emails. Its payments are among the others."""

    attributes: StoredPlan  # type: ignore[valid-type]
    records: list[PersonalRecord]
    emails: list[PersonalEmail]


@dataclass
class ExpiredPayment:
    """A payment that was deleted seven years after its money moved last: its audit records and emails stay."""

    payment_id: Annotated[str, About(examples=["pay_1"])]
    records: list[PersonalRecord]
    emails: list[PersonalEmail]


@dataclass
class EmailDeliveryProblem:
    """Why the person's address can get no email."""

    problem: Annotated[str, About(examples=["bounced"])]
    at: Time


@dataclass
class Person:
    """The items that do not grow with the number of payments."""

    customer: StoredCustomer | None  # type: ignore[valid-type]
    email_delivery: EmailDeliveryProblem | None
    limits: StoredLimits | None  # type: ignore[valid-type]
    enrollments: list[StoredEnrollment]  # type: ignore[valid-type]
    progress: Annotated[list[dict[str, Any]], About("Each project that was unlocked, with its steps.", examples=[[]])]
    plans: Annotated[list[PersonalPlan], About("Newest first.")]
    notes: list[StoredNote]  # type: ignore[valid-type]


@dataclass
class PersonalData:
    """One part of everything that is stored about a person."""

    schema_version: Annotated[int, About(examples=[1])]
    exported_at: Time
    user_id: UserId
    person: Annotated[Person | None, About("In the first part only.")]
    payments: Annotated[list[PersonalPayment], About("Newest first.")]
    expired_payments: Annotated[list[ExpiredPayment], About("After the last payment.")]
    records: Annotated[list[PersonalRecord], About("Records about the person that belong to no payment.")]
    next_cursor: Cursor


@dataclass
class PersonalDataFile:
    """A part that is too large for an answer: the file has it, and nothing else."""

    url: Annotated[str, About("The address of the file, without a sign-in.", examples=["https://example.org/file"])]
    url_expires_at: Time
    bytes: Annotated[int, About(examples=[5_000_000])]
    next_cursor: Cursor


@dataclass(kw_only=True)
class PersonalDataQuery:
    """Which part to read."""

    cursor: Annotated[str | None, About("The `next_cursor` of the part before.")] = None


@dataclass(kw_only=True)
class PersonalDataOfUserQuery(PersonalDataQuery):
    """Whose data to read, and which part."""

    user_id: Annotated[UserId, About("The user's id, which may have a `/`.", minLength=1)]


# --- correcting an address ---


@dataclass
class EmailCorrection:
    """The address to store."""

    email: Annotated[Email, About(minLength=1, maxLength=254, pattern=r"\S")]


@dataclass
class CorrectedEmail:
    """The stored address, and how far its correction has come."""

    email: Email
    payments: Annotated[int, About("The payments that this request corrected, at most 100.", examples=[1])]
    complete: Annotated[bool, About("False: repeat the request for the rest.", examples=[True])]
