"""The operations of the API: for each route its types, its errors, and who may call it.

`tests/unit/test_openapi.py` compares the routes with template.yaml and with `ROUTES` of `functions/admin.py`, and the
tests on the tables compare every answer with what is declared here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tuition.core import errors
from tuition.core.errors import TuitionError

Caller = Literal["anyone", "user", "support", "admin", "stripe"]
Errors = tuple[type[TuitionError], ...]

ALWAYS: Errors = (TuitionError,)
SIGNED_IN: Errors = (errors.Unauthenticated, errors.UserIdRefused)
STAFF: Errors = (*SIGNED_IN, errors.Forbidden)
BODY: Errors = (errors.BadRequest, errors.BodyTooLarge, errors.Unprocessable)
TABLES: Errors = (errors.Unavailable,)
READS_FIGURES: Errors = (errors.NotConfigured, *TABLES)
ASKS_STRIPE: Errors = (errors.StripeUnavailable, errors.NotConfigured, errors.Unavailable)
COMMITS: Errors = (errors.Contended, errors.Unavailable)
BUYS: Errors = (
    *(errors.UnknownTrack, errors.Forbidden, errors.AlreadyEnrolled, errors.PurchasesBlocked, errors.UserErased),
    *(errors.NotSelling, errors.TermsChanged, errors.PlanOpen),
    *(errors.PaymentInProgress, errors.Conflicted, errors.TooManyRequests, *ASKS_STRIPE, *COMMITS),
)
PAYS_PLAN: Errors = (errors.NotFound, errors.PlanNotPayable, errors.TooManyRequests, *ASKS_STRIPE, *COMMITS)
REFUNDS: Errors = (errors.NotFound, errors.RefundRefused, *ASKS_STRIPE, *COMMITS)


@dataclass(frozen=True)
class Answer:
    """A success: its status, its type, and when it is sent."""

    status: int
    type: type
    when: str


@dataclass(frozen=True)
class Link:
    """A call that follows an answer: the parameters and the body are runtime expressions of OpenAPI.

    https://spec.openapis.org/oas/v3.1.1.html#link-object
    """

    operation_id: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One route. `handler` is the module of `functions/` that answers it.

    `path` describes the parameters in the path, `query` is a dataclass with those of the query, and `headers` describes
    the accepted headers. `example` is a body to send.
    """

    route: str
    handler: str
    operation_id: str
    summary: str
    description: str
    caller: Caller
    answers: tuple[Answer, ...]
    errors: Errors = ()
    path: Mapping[str, str] = field(default_factory=dict)
    query: type | None = None
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    body: type | None = None
    body_required: bool = True
    example: Mapping[str, Any] | None = None
    links: tuple[Link, ...] = ()

    @property
    def method(self) -> str:
        """The HTTP method, in capitals."""
        return self.route.partition(" ")[0]

    @property
    def url_path(self) -> str:
        """The path, without a final slash."""
        return self.route.partition(" ")[2]

    @property
    def all_errors(self) -> Errors:
        """All errors that can be answered, each once, by status."""
        own: list[type[TuitionError]] = [*ALWAYS, *self.errors]
        own += {"anyone": (), "stripe": (), "user": SIGNED_IN, "support": STAFF, "admin": STAFF}[self.caller]
        own += BODY if self.body else ()
        own += (errors.Unprocessable,) if self.query else ()
        return tuple(sorted(dict.fromkeys(own), key=lambda error: (error.status, error.type)))
