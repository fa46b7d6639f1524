"""The activity of staff."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, Cursor, Day, PaymentId, Time, Track, UserId
from api_schema.students import PageQuery


@dataclass(kw_only=True)
class ActivityQuery(PageQuery):
    """A day of a member of staff. `support` may ask for the caller only."""

    staff: Annotated[UserId | None, About("By default the caller.", minLength=1)] = None
    day: Annotated[Day | None, About("A UTC day, by default today.")] = None


@dataclass
class StaffAction:
    """Something that a member of staff did on record."""

    at: Time
    type: Annotated[str, About("The type of the audit record.", examples=["refund.created_by_staff"])]
    payment_id: PaymentId | None
    user_id: Annotated[UserId | None, About("The student, if it is about one.")]
    track: Annotated[Track | None, About(examples=["DP"])]
    people: Annotated[int | None, About("Of a read: of how many people.", examples=[None])]


@dataclass
class Activity:
    """The actions of a member of staff on a day, newest first."""

    staff: UserId
    day: Day
    actions: list[StaffAction]
    next_cursor: Cursor


@dataclass
class ActiveMember:
    """A member of staff, and when they did anything last."""

    staff: UserId
    last_at: Time


@dataclass
class ActiveStaff:
    """The members of staff who did anything in the last 400 days, the most recent first."""

    staff: list[ActiveMember]
