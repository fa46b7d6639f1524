"""The types of the answers about a student's enrollments."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, PaymentId, Track, Url
from api_schema.payments import Payment
from api_schema.plans import Plan
from tuition.core import enrollment


@dataclass(kw_only=True)
class EnrollmentsQuery:
    """A page of the enrollments. The first has them all."""

    limit: Annotated[int, About("Accepted, but one page has all enrollments.", minimum=1, maximum=100)] = 20


@dataclass
class StepProgress:
    """A step of a project, and whether it is done."""

    step: Annotated[str, About(examples=["load"])]
    title: Annotated[str, About(examples=["Load the data"])]
    done: Annotated[bool, About(examples=[False])]
    url: Annotated[Url | None, About("The step in the course, if the catalog has its address.", examples=[None])]


@dataclass
class ProjectProgress:
    """A project, and how far the student has come."""

    project: Annotated[str, About(examples=["first"])]
    title: Annotated[str, About(examples=["A first project"])]
    unlocked: bool
    steps: list[StepProgress]


@dataclass(kw_only=True)
class EnrollmentFields:
    """An enrollment in a track."""

    track: Track
    status: Annotated[
        enrollment.Status | None,
        About("Null: a payment that never gave access, because the amount differs.", examples=["ENROLLED"]),
    ]
    projects: list[ProjectProgress]


@dataclass(kw_only=True)
class Enrollment(EnrollmentFields):
    """An enrollment with the payment or plan that decides its status: the other of the two is null."""

    payment: Annotated[Payment | None, About("The payment that gives access, else the open one, else the newest.")]
    plan: Annotated[Plan | None, About("The payment plan or membership that decides it, if one does.")]


@dataclass
class Enrollments:
    """All enrollments of the student: one for each track."""

    enrollments: list[Enrollment]
    purchases_blocked: Annotated[str | None, About("Why the student may buy no track.", examples=[None])]
    not_selling: Annotated[str | None, About("Why the school sells no track for now.", examples=[None])]
    next_cursor: Annotated[None, About("Always null: the first page has them all.")]


@dataclass
class EnrollmentExplanation:
    """Why the student is enrolled in a track, or why not."""

    track: Track
    enrollment: Annotated[enrollment.Status | None, About("Null if nothing was bought.", examples=["ENROLLED"])]
    payment_id: Annotated[PaymentId | None, About("The payment that decides it; null if there is none.")]
    plan_id: Annotated[str | None, About("The plan that decides it, if one does.", examples=[None])]
    sentence: Annotated[
        str, About(examples=["You are enrolled in Data Professional, because your payment was received."])
    ]
