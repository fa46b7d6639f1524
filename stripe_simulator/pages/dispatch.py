"""The page for a path. A page has no API key: it finds its account by the id of its object."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from stripe_simulator.accounts import Accounts
from stripe_simulator.pages import assets, checkout, overview, receipt, three_d_secure
from stripe_simulator.response import Response


def handle(accounts: Accounts, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response | None:
    """Return the page, or None if the path is not a page."""
    path, _, query = target.partition("?")
    if path.startswith("/_sim/3ds/"):
        id = path.removeprefix("/_sim/3ds/")
        account = accounts.owner(id, "payment_intent", "setup_intent")
        with account.lock:
            account.unsaved |= method != "GET"
            return three_d_secure.answer(account, method, id, query, body)
    if path.startswith("/c/pay/"):
        id = path.removeprefix("/c/pay/")
        account = accounts.owner(id, "checkout.session")
        with account.lock:
            account.unsaved |= method != "GET"
            return checkout.answer(account, method, id, body)
    if path.startswith("/receipts/"):
        account = receipt.owner(accounts, path)
        with account.lock:
            return receipt.answer(account, path)
    if path == "/":
        account = accounts.find(parse_qs(query).get("account", [""])[0]) or accounts.default
        with account.lock:
            account.unsaved |= method != "GET"
            return overview.answer(accounts, account, method, body)
    return assets.answer(path)
