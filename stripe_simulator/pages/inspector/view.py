"""One request for a page of the inspector: the account that it shows, its query, and the addresses of its links."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode

from stripe_simulator.account import Account
from stripe_simulator.accounts import Accounts
from stripe_simulator.pages.inspector.markup import Html, tag
from stripe_simulator.store import Object

PREFIX = "/inspect"
MAX_QUERY_LENGTH = 200
"""The inspector ignores the rest of a longer query parameter."""


@dataclass(frozen=True)
class View:
    """A request, as a page needs it."""

    accounts: Accounts
    account: Account
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def selected(self) -> str | None:
        """The account that addresses name, or None for the default account."""
        return None if self.account is self.accounts.default else self.account.id

    def url(self, *segments: str, **params: str | None) -> str:
        """Return the address of a page of the same account: `url("objects", id)`."""
        path = "/".join(quote(segment, safe="") for segment in segments)
        query = {name: value for name, value in {**params, "account": self.selected}.items() if value}
        return f"{PREFIX}/{path}" + (f"?{urlencode(query)}" if query else "") if path else self._home(query)

    def _home(self, query: Mapping[str, str]) -> str:
        return "/" + (f"?{urlencode(query)}" if query else "")

    def param(self, name: str) -> str | None:
        """Return a parameter of the query, or None if it is absent or empty."""
        return self.query.get(name) or None

    def link(self, id: str, text: str | None = None, **params: str | None) -> Html:
        """Return a link to the page of an object, an event or a request."""
        return tag("a", text or id, class_="id", href=self.url(page_of(id), id, **params))

    def find_request(self, id: str) -> Object | None:
        """Return the logged request with an id."""
        return next((one for one in reversed(self.account.log) if one["request_id"] == id), None)

    def is_known(self, id: str) -> bool:
        """Return whether there is a page for an id."""
        if id.startswith("req_"):
            return self.find_request(id) is not None
        account = self.account
        return id in account.webhooks.payloads or account.lookup(id) is not None or account.history.has(id)


def page_of(id: str) -> str:
    """Return the part of the inspector that shows an id."""
    return {"evt": "events", "req": "requests"}.get(id.partition("_")[0], "objects")


def read_query(text: str) -> dict[str, str]:
    """Return the parameters of a query, each shortened to MAX_QUERY_LENGTH."""
    return {name: values[0][:MAX_QUERY_LENGTH] for name, values in parse_qs(text).items()}
