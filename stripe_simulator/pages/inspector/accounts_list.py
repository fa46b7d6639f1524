"""The list of accounts, which selects the account that the other pages show."""

from dataclasses import replace
from itertools import islice

from stripe_simulator.account import Account
from stripe_simulator.pages.inspector import parts
from stripe_simulator.pages.inspector.frame import page
from stripe_simulator.pages.inspector.markup import tag
from stripe_simulator.pages.inspector.view import View
from stripe_simulator.response import Response


def list_page(view: View) -> Response:
    """GET /inspect/accounts?after: all accounts, the default account first."""
    accounts = view.accounts.all()
    after = view.param("after")
    start = next((n + 1 for n, one in enumerate(accounts) if one.id == after), 0)
    chosen = list(islice(accounts, start, start + parts.PAGE_SIZE))
    rows = [_row(view, one) for one in chosen]
    last = chosen[-1].id if chosen and start + parts.PAGE_SIZE < len(accounts) else None
    more = tag("p", tag("a", "More", href=view.url("accounts", after=last))) if last else None
    columns = ("Account", "Secret key", "Requests", "Events", "Created (UTC)")
    return page(
        view,
        "Accounts",
        tag("h1", "Accounts", tag("span", f"{len(accounts):,}", class_="count")),
        parts.table("Accounts", columns, rows, wide=(4,)),
        more,
    )


def _row(view: View, account: Account) -> tuple[object, ...]:
    """Return the cells of an account. Its counts need no lock, and its secret key is never shown as a whole."""
    is_default = account is view.accounts.default
    address = replace(view, account=account).url()
    label = parts.status("default") if is_default else None
    current = "true" if account is view.account else None
    key = account.secret_key
    return (
        tag("span", tag("a", account.id, class_="id", href=address, aria_current=current), " ", label),
        tag("code", f"{key[:8]}…{key[-4:]}" if len(key) >= MIN_KEY_LENGTH else f"{key[:8]}…"),
        f"{len(account.log):,}",
        f"{len(account.webhooks.payloads):,}",
        parts.moment(account.created),
    )


MIN_KEY_LENGTH = 20
"""A key of this length or more shows its last four characters."""
