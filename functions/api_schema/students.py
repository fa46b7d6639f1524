"""The types of the requests and answers of students and of Stripe."""

from dataclasses import dataclass
from typing import Annotated, Literal

from api_schema.about import About, Amount, Currency, Cursor, IntentId, PaymentId, Text, Time, Track, Url
from api_schema.payments import Document, Payment, RefundRequest
from tuition.core import catalog, erasure
from tuition.core.offers import Every
from tuition.core.payment import Status
from tuition.core.refs import PlanKind
from tuition.intake.stripe_events import Outcome

SoldTrack = Annotated[
    str,
    About("The code of a track that is for sale.", enum=[track.track for track in catalog.for_sale()], examples=["DP"]),
]


TermsVersion = Annotated[
    str | None,
    About(
        "The version of the terms that the student agreed to: `terms.version` of the tracks.",
        minLength=1,
        maxLength=40,
        pattern=r"\S",
        examples=[None],
    ),
]


@dataclass(kw_only=True)
class PageQuery:
    """A page of a list."""

    limit: Annotated[int, About("How many items the page has at most.", minimum=1, maximum=100)] = 20
    cursor: Annotated[str | None, About("The `next_cursor` of the page before.", examples=["eyJ2IjoxfQ"])] = None


# --- tracks ---


@dataclass
class Step:
    """A step of a project."""

    step: Annotated[str, About(examples=["load"])]
    title: Annotated[str, About(examples=["Load the data"])]


@dataclass
class Project:
    """A project of a track."""

    project: Annotated[str, About(examples=["first"])]
    title: Annotated[str, About(examples=["A first project"])]
    steps: list[Step]


@dataclass
class Question:
    """A question that students ask before they buy."""

    question: Annotated[str, About(examples=["When can I start?"])]
    answer: Annotated[str, About(examples=["At once."])]


@dataclass
class ConsentText:
    """The text to which a student agrees before they begin a plan."""

    version: Annotated[str, About("It changes with the text.", examples=["2026-11-1f0c9a7be2"])]
    text: Annotated[
        str, About("Paragraphs of plain text, separated by line breaks.", examples=["You pay School of Data …"])
    ]


@dataclass
class PlanOffer:
    """A way to pay in several payments."""

    offer: Annotated[str, About("Its name, unique for the track or membership.", examples=["4x"])]
    kind: Annotated[PlanKind, About("`membership`: the one amount is paid again in each period, until it is canceled.")]
    amounts: Annotated[list[Amount], About("The payments, the first of them now.", examples=[[12475, 37425]])]
    total: Annotated[Amount, About("The sum of `amounts`.")]
    currency: Currency
    every: Annotated[Every, About("The time between two payments.", examples=["month"])]
    consent: ConsentText


@dataclass
class TrackForSale:
    """A track that is for sale, with its price. Its texts are plain text."""

    track: Track
    title: Annotated[str, About(examples=["Data Professional"])]
    amount: Amount
    currency: Currency
    summary: Annotated[str, About("The track in one sentence.", examples=["Learn to answer questions."])]
    level: Annotated[str, About(examples=["Beginner"])]
    duration: Annotated[str, About("How long it takes.", examples=["12 weeks at 8 hours per week"])]
    outcomes: Annotated[list[str], About("The skills that a student gains.", examples=[["Train a model"]])]
    prerequisites: Annotated[list[str], About("The skills that a student needs before.", examples=[["Basic Python"]])]
    questions: list[Question]
    projects: list[Project]
    offers: Annotated[list[PlanOffer], About("The ways to pay the price in installments.")]


@dataclass
class MembershipForSale:
    """A membership: the right to begin any track, as long as it is paid."""

    membership: Annotated[str, About("The code of the membership.", examples=["ALL"])]
    title: Annotated[str, About(examples=["Membership"])]
    summary: Annotated[str, About(examples=["Begin any track, and cancel when you like."])]
    offers: list[PlanOffer]


@dataclass
class NamedTrack:
    """A track that is no longer sold."""

    track: Annotated[Track, About(examples=["OLD"])]
    title: Annotated[str, About(examples=["An earlier track"])]


@dataclass
class TermsOfSale:
    """The terms that a student agrees to before they pay."""

    version: Annotated[str, About("Send it as `terms` with a create.", examples=["2026-11"])]
    url: Annotated[Url | None, About("Where the terms are.", examples=["https://example.org/terms"])]


@dataclass
class Tracks:
    """The tracks, and what a page needs to sell them."""

    tracks: list[TrackForSale]
    no_longer_sold: list[NamedTrack]
    memberships: Annotated[list[MembershipForSale], About("Empty where none is offered.")]
    publishable_key: Annotated[str, About("The key for Stripe.js.", examples=["pk_test_1"])]
    payment_method_types: Annotated[list[str], About("The accepted kinds of methods.", examples=[["card"]])]
    refund_window_days: Annotated[int, About("In so many days a refund is made at once.", examples=[14])]
    consumer_region: Annotated[
        Literal["US", "EU"],
        About("In `EU` a refund request in these days is a withdrawal from the contract.", examples=["US"]),
    ]
    school_name: Annotated[str, About(examples=["School of Data"])]
    school_time_zone: Annotated[str, About("The days of payment plans are those here.", examples=["America/New_York"])]
    support_contact: Annotated[str | None, About("Where students get help: any text.", examples=["help@example.org"])]
    terms: Annotated[TermsOfSale | None, About("Null if the school asks for no agreement.")]
    privacy_url: Annotated[Url | None, About("The privacy policy.", examples=["https://example.org/privacy"])]


# --- buying ---


@dataclass(kw_only=True)
class CreatePaymentRequest:
    """What to buy, to be paid in the browser."""

    track: SoldTrack
    save_payment_method: Annotated[
        bool, About("Keep the payment method for the student's next purchase; by default false.")
    ] = False
    payment_method: Annotated[
        str | None,
        About("A saved payment method, `pm_…`.", minLength=1, maxLength=255, pattern=r"\S"),
    ] = None
    terms: TermsVersion = None


@dataclass
class StudentErasure:
    """The erasure of the caller's data."""

    state: Annotated[erasure.State, About(examples=["scheduled"])]
    requested_at: Time
    due_at: Annotated[Time, About("When it will be done at the latest, unless money is open by then.")]
    erased_at: Time | None


@dataclass
class OwnErasure:
    """The answer to the request for an erasure."""

    erasure: StudentErasure


@dataclass
class SignedOut:
    """The answer to a sign-out on every device."""

    signed_out: Literal[True]
    tokens_valid_until: Annotated[Time, About("When the last token that a device has expires.")]


@dataclass
class OpenedPayment:
    """An open payment, to be confirmed with Stripe.js."""

    payment_id: PaymentId
    payment_intent_id: IntentId
    client_secret: Annotated[str, About("For Stripe.js.", examples=["pi_3SXk2eLz9Qw1_secret_x"])]
    amount: Annotated[Amount, About("The price in minor units.")]
    currency: Currency
    track: Track
    status: Annotated[Status, About(examples=["CREATED"])]


@dataclass(kw_only=True)
class CreateCheckoutSessionRequest:
    """What to buy, to be paid on Stripe's page."""

    track: SoldTrack
    promotion_code: Annotated[
        str | None, About("A promotion code of Stripe's.", minLength=1, maxLength=500, pattern=r"\S")
    ] = None
    success_url: Annotated[
        str | None,
        About(
            "Where the student returns after paying: an allowed origin and a path. Stripe replaces"
            " `{CHECKOUT_SESSION_ID}`.",
            minLength=1,
            maxLength=2000,
            pattern=r"\S",
        ),
    ] = None
    cancel_url: Annotated[
        str | None, About("Where the student returns without paying.", minLength=1, maxLength=2000, pattern=r"\S")
    ] = None
    save_payment_method: Annotated[bool, About("Show a checkbox for saving the method; by default false.")] = False
    terms: TermsVersion = None
    invoice: Annotated[
        bool, About("Ask for name, address and tax id, and make an invoice after the payment; by default false.")
    ] = False


@dataclass(kw_only=True)
class PreviewCodeRequest:
    """A promotion code to look up before the student pays."""

    track: SoldTrack
    promotion_code: Annotated[
        str, About("A promotion code of Stripe's.", minLength=1, maxLength=500, pattern=r"\S", examples=["SPRING"])
    ]


@dataclass
class PreviewedCode:
    """The price of a track with a promotion code."""

    track: Track
    promotion_code: Annotated[str, About("The code as Stripe writes it.", examples=["SPRING"])]
    currency: Currency
    list_amount: Annotated[Amount, About("The catalog's price.")]
    discount: Annotated[Amount, About(examples=[9980])]
    amount: Annotated[Amount, About("The price with the code. 0: the purchase is free.", examples=[39920])]


@dataclass
class OpenedCheckoutSession:
    """An open payment, to be paid on Stripe's page."""

    payment_id: PaymentId
    session_id: Annotated[str, About(examples=["cs_test_a1"])]
    url: Annotated[Url, About("Stripe's page.", examples=["https://checkout.stripe.com/c/pay/cs_test_a1"])]
    amount: Annotated[Amount, About("The price after the promotion code, in minor units.")]
    currency: Currency
    track: Track
    status: Annotated[Status, About(examples=["CREATED"])]


@dataclass
class Payments:
    """A page of payments, newest first."""

    payments: list[Payment]
    next_cursor: Cursor


@dataclass
class SavedPaymentMethod:
    """A saved payment method. A field that its type does not have is null."""

    id: Annotated[str, About(examples=["pm_1"])]
    type: Annotated[str, About(examples=["card"])]
    brand: Annotated[str | None, About(examples=["visa"])]
    last4: Annotated[str | None, About(examples=["4242"])]
    exp_month: Annotated[int | None, About(examples=[12])]
    exp_year: Annotated[int | None, About(examples=[2034])]


@dataclass
class Documents:
    """The documents of a payment: its invoice, then its credit notes, oldest first."""

    documents: list[Document]


@dataclass
class SavedPaymentMethods:
    """A page of saved payment methods, newest first."""

    payment_methods: list[SavedPaymentMethod]
    next_cursor: Cursor


@dataclass
class DetachedPaymentMethod:
    """A payment method that can never be used again."""

    id: Annotated[str, About(examples=["pm_1"])]
    detached: Literal[True]


@dataclass(kw_only=True)
class RefundOrder:
    """Which payment to refund, and why. Send exactly one of the two ids.

    `withdrawal` and `name` are accepted where `consumer_region` is `EU`, and refused elsewhere.
    """

    reason: Annotated[Text | None, About("Required, except in a withdrawal.", examples=["changed my mind"])] = None
    withdrawal: Annotated[bool, About("Withdraw from the contract, and confirm it. By default false.")] = False
    name: Annotated[
        str | None,
        About(
            "The student's name. Required in a withdrawal, refused otherwise.",
            minLength=1,
            maxLength=200,
            pattern=r"\S",
        ),
    ] = None
    payment_id: Annotated[
        str | None,
        About("The payment's id.", minLength=1, maxLength=255, pattern=r"\S", examples=["pay_4f1c2a9b7d3e4c58"]),
    ] = None
    payment_intent_id: Annotated[
        str | None,
        About("Its PaymentIntent's or Checkout Session's id.", minLength=1, maxLength=255, pattern=r"\S"),
    ] = None


@dataclass(kw_only=True)
class PaymentWithRefundRequest(Payment):
    """The payment with the refund request that was made or resumed.

    It can be null after a withdrawal only: nothing is left to refund, or the school is refunding the payment already.
    """

    refund_request: RefundRequest | None


# --- Stripe ---


@dataclass
class ReceivedEvent:
    """The outcome of an event."""

    received: Literal[True]
    outcome: Annotated[
        Outcome,
        About(
            "`applied`: now or before. `expired`: about a payment that was deleted seven years after its money moved"
            " last. `foreign`: of another app, environment, stack or mode. `ignored`: a type that is not used."
            " `not_found`: a payment that does not exist here and is not paid. `quarantined`: stored for staff.",
            examples=["applied"],
        ),
    ]
