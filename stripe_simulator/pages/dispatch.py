"""The page for a path. A page has no API key: it finds its account by the id of its object."""

from collections.abc import Mapping

from stripe_simulator.accounts import Accounts
from stripe_simulator.pages import assets, checkout, invoice, receipt, three_d_secure
from stripe_simulator.pages.inspector import dispatch as inspector
from stripe_simulator.response import Response


def handle(accounts: Accounts, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response | None:
    """Return the page, or None if the path is not a page."""
    path, _, query = target.partition("?")
    if path.startswith("/_sim/3ds/"):
        id = path.removeprefix("/_sim/3ds/")
        account = accounts.owner(id, "payment_intent", "setup_intent")
        with account.lock, account.recording(f"{method} /_sim/3ds"):
            account.unsaved |= method != "GET"
            return three_d_secure.answer(account, method, id, query, body)
    if path.startswith("/c/pay/"):
        id = path.removeprefix("/c/pay/")
        account = accounts.owner(id, "checkout.session")
        with account.lock, account.recording(f"{method} /c/pay"):
            account.unsaved |= method != "GET"
            return checkout.answer(account, method, id, body)
    if path.startswith("/receipts/"):
        account = receipt.owner(accounts, path)
        with account.lock:
            return receipt.answer(account, path)
    if path.startswith(("/invoices/", "/credit_notes/")):
        account = invoice.owner(accounts, path)
        with account.lock:
            return invoice.answer(account, path)
    if inspector.is_page(path):
        return inspector.answer(accounts, method, path, query, body)
    return assets.answer(path)
