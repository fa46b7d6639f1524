"""Quarantined events."""

from dataclasses import dataclass
from typing import Annotated, Any

from api_schema.about import About, Cursor, Text, Time, UserId
from tuition.intake.stripe_events import Outcome


@dataclass
class QuarantinedEvent:
    """An event of ours that could not be applied."""

    event_id: Annotated[str, About(examples=["evt_1"])]
    reason: Annotated[str, About(examples=["the event has no object"])]
    first_at: Annotated[Time, About("Its first arrival.")]
    last_at: Annotated[Time, About("The last try.")]
    tries: Annotated[int, About(examples=[1])]


@dataclass
class QuarantinedEvents:
    """A page of the quarantine, newest first."""

    events: list[QuarantinedEvent]
    next_cursor: Cursor


@dataclass
class Discarded:
    """The member of staff who discarded an event, and the reason."""

    at: Time
    by: UserId
    note: str


@dataclass
class QuarantinedEventWithPayload(QuarantinedEvent):
    """A quarantined event as Stripe sent it, without secrets and personal data."""

    payload: Annotated[Any, About("Null for a discarded event.", examples=[{"id": "evt_1", "object": "event"}])]
    discarded: Discarded | None


@dataclass
class QuarantinedEventDetails:
    """One quarantined event."""

    event: QuarantinedEventWithPayload


@dataclass
class ReplayedEvent:
    """The outcome of an event that was tried again."""

    event_id: Annotated[str, About(examples=["evt_1"])]
    outcome: Annotated[Outcome, About(examples=["applied"])]


@dataclass
class DiscardOrder:
    """Why an event is not to be applied."""

    note: Annotated[Text, About(examples=["sent by a test"])]
