"""The page for a path."""

from collections.abc import Mapping

from stripe_simulator.account import Account
from stripe_simulator.pages import assets, checkout, overview, receipt, three_d_secure
from stripe_simulator.response import Response


def handle(account: Account, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response | None:
    """Return the page, or None if the path is not a page."""
    path, _, query = target.partition("?")
    if path.startswith("/_sim/3ds/"):
        with account.lock:
            return three_d_secure.answer(account, method, path.removeprefix("/_sim/3ds/"), query, body)
    if path.startswith("/c/pay/"):
        with account.lock:
            return checkout.answer(account, method, path.removeprefix("/c/pay/"), body)
    if path.startswith("/receipts/"):
        with account.lock:
            return receipt.answer(account, path)
    if path == "/":
        with account.lock:
            return overview.answer(account, method, body)
    return assets.answer(path)
