"""The receipt of a charge, as a page to read and to print.

https://docs.stripe.com/receipts
"""

import html
import time
from collections.abc import Iterable

from stripe_simulator.account import Account
from stripe_simulator.accounts import Accounts
from stripe_simulator.currencies import format_amount
from stripe_simulator.pages.html_page import message, page
from stripe_simulator.response import Response
from stripe_simulator.store import Object

KINDS = {"us_bank_account": "Bank account", "sepa_debit": "SEPA debit"}


def owner(accounts: Accounts, path: str) -> Account:
    """Return the account that has the charge of a receipt, or the default account if none has."""
    for account in accounts.all():
        if _charge(list(account.store.objects.get("charge", {}).values()), path) is not None:
            return account
    return accounts.default


def answer(account: Account, path: str) -> Response:
    """GET the address of a receipt. Anyone who has the address can read it, as at Stripe."""
    charge = _charge(account.store.all("charge"), path)
    if charge is None:
        return message("No such receipt", "Check the link, or ask the business for a new one.", 404)
    rows = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>" for name, text in _rows(charge)
    )
    refunds = "".join(_refund(one) for one in account.store.all("refund") if one["charge"] == charge["id"])
    return page(
        "Receipt",
        f'<p class="bank">Stripe simulator · test mode</p><h1>{html.escape(_title(charge))}</h1>'
        f'<dl class="summary">{rows}</dl>'
        + (f'<h2>Refunds</h2><ul class="refunds">{refunds}</ul>' if refunds else "")
        + f'<p class="small">Payment {html.escape(charge["payment_intent"] or charge["id"])}</p>',
    )


def _charge(charges: Iterable[Object], path: str) -> Object | None:
    """Return the charge of a receipt, by its path only, because a restart may change the port."""
    return next((one for one in charges if one["receipt_url"] and one["receipt_url"].endswith(path)), None)


def _title(charge: Object) -> str:
    amount = format_amount(charge["amount"], charge["currency"])
    if charge["status"] == "pending":
        return f"Your payment of {amount} is processing"
    if not charge["captured"]:
        return f"Your payment of {amount} is authorized"
    return f"Receipt for {amount}"


def _rows(charge: Object) -> list[tuple[str, str]]:
    """Return the lines of the receipt. A refund lowers the last one."""
    currency = charge["currency"]
    rows = [("Date", _date(charge["created"])), ("Payment method", _method(charge))]
    if charge["receipt_email"] or charge["billing_details"]["email"]:
        rows.append(("Email", charge["receipt_email"] or charge["billing_details"]["email"]))
    rows.append((charge["description"] or "Payment", format_amount(charge["amount"], currency)))
    if charge["amount_refunded"]:
        rows.append(("Refunded", f"−{format_amount(charge['amount_refunded'], currency)}"))
    rows.append(("Total", format_amount(charge["amount"] - charge["amount_refunded"], currency)))
    return rows


def _method(charge: Object) -> str:
    details = charge["payment_method_details"]
    method = details[details["type"]]
    name = KINDS.get(details["type"]) or str(method.get("brand", details["type"])).capitalize()
    return f"{name} ending in {method['last4']}"


def _refund(refund: Object) -> str:
    amount = format_amount(refund["amount"], refund["currency"])
    status = html.escape(refund["status"].replace("_", " "))
    return f"<li><span>{_date(refund['created'])} · {status}</span><span>{html.escape(amount)}</span></li>"


def _date(timestamp: int) -> str:
    moment = time.gmtime(timestamp)
    return f"{moment.tm_mday} {time.strftime('%B %Y', moment)}"
