"""Audit records, and whether their chain verifies."""

from dataclasses import dataclass
from typing import Annotated, Any

from api_schema.about import About, Time, Track, UserId
from tuition.core.audit import Source


@dataclass(kw_only=True)
class AuditRecord:
    """One line of the audit log, chained by hash to the line before it."""

    subject: Annotated[str, About("A payment, or a user.", examples=["pay_4f1c2a9b7d3e4c58"])]
    seq: Annotated[int, About(examples=[1])]
    at: Time
    event_id: Annotated[str, About(examples=["evt_1"])]
    type: Annotated[str, About(examples=["payment_intent.succeeded"])]
    source: Annotated[Source, About(examples=["webhook"])]
    actor: Annotated[str | None, About("A user id.", examples=["grace"])] = None
    user_id: UserId
    track: Annotated[Track | None, About(examples=["DP"])]
    transition: Annotated[
        dict[str, Any],
        About(
            "The changes: `status` and `enrollment` from and to, and amounts as deltas in minor units.",
            examples=[{"status": {"from": "CREATED", "to": "SUCCEEDED"}, "settled": 49900, "currency": "usd"}],
        ),
    ]
    facts: Annotated[
        dict[str, Any] | None,
        About(
            "The facts that it added to its payment, as a JSON merge patch, without fields that could name a person."
            " Missing in records of schema version 1, and in those that belong to no payment.",
            examples=[{"settled": {"amount": 49900, "currency": "usd", "at": 1763922600}}],
        ),
    ] = None
    previous: Annotated[str, About("The hash of the record before it.", examples=["9f86d0"])]
    schema_version: Annotated[int, About(examples=[2])]
    hash: Annotated[str, About(examples=["60303a"])]


@dataclass
class Chain:
    """Whether an audit chain verifies."""

    verified: bool
    problem: Annotated[str | None, About(examples=[None])]
