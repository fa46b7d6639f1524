"""Whether students can buy."""

from dataclasses import dataclass
from typing import Annotated

from api_schema.about import About, Text, Time, UserId
from api_schema.staff.audit import AuditRecord, Chain


@dataclass
class SwitchDecisionMade:
    """The newest decision about a switch."""

    note: str
    actor: UserId
    at: Time


@dataclass
class Selling:
    """Whether students can buy, with the history of the switch."""

    selling: Annotated[bool, About(examples=[True])]
    message: Annotated[str | None, About("The text for students while nothing is sold.", examples=[None])]
    decision: SwitchDecisionMade | None
    version: Annotated[int, About("The number of decisions.", examples=[2])]
    audit: list[AuditRecord]
    chain: Chain


@dataclass(kw_only=True)
class SellingDecision:
    """A decision to stop every new purchase, or to sell again."""

    selling: Annotated[bool, About(examples=[False])]
    note: Annotated[Text, About("For staff.", examples=["A price is wrong"])]
    message: Annotated[Text | None, About("For students, with `selling` false only.")] = None
    expected_version: Annotated[int | None, About("The version that you saw.", examples=[2])] = None


@dataclass
class Collecting:
    """Whether payment plans are charged without the student, with the history of the switch."""

    collecting: Annotated[bool, About(examples=[True])]
    decision: SwitchDecisionMade | None
    version: Annotated[int, About("The number of decisions.", examples=[2])]
    audit: list[AuditRecord]
    chain: Chain


@dataclass(kw_only=True)
class CollectingDecision:
    """A decision to stop what payment plans announce and charge, or to start it again."""

    collecting: Annotated[bool, About(examples=[False])]
    note: Annotated[Text, About("For staff.", examples=["A bank declines everything"])]
    expected_version: Annotated[int | None, About("The version that you saw.", examples=[2])] = None
