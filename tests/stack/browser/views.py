"""Every view of the pages that an address opens, with who opens it and what they do there.

Add a view here, and `test_sweep.py` opens it. A view that only a flow reaches, such as a declined card, is checked by
the test of that flow (`Student.expect_accessible`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.stack.conftest import Running
from tests.stack.test_checkout import create_session
from tests.stack.test_plans import started
from tests.tables.test_invoices import BUSINESS, CARD

Act = Callable[[Page], None]


def click(role: Any, name: str) -> Act:
    """Click the first control with this role and name, as a person would who has just opened the view."""
    return lambda page: page.get_by_role(role, name=name).first.click()


def press(*keys: str) -> Act:
    """Press keys."""
    return lambda page: [page.keyboard.press(key) for key in keys] and None


@dataclass(frozen=True)
class View:
    """A view: its address, a person of `People`, what they do once it is shown, and what they then see.

    `{payment}`, `{plan}` and `{user}` in an address are the payment, its plan and the id of the person that `of` names.
    """

    address: str
    who: str = ""
    act: Act | None = None
    sees: str = "h1"
    of: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, [self.who or "signed out", self.of and f"of {self.of}", self.address, self.sees]))


STUDENT_STATES = ("paid", "revoked", "disputed", "lost", "differs", "processing", "refunding", "refunded", "waiting")
"""The students of `People` whose payment decides what their pages say."""
PLAN_STATES = ("plan", "member", "taken")
"""The students of `People` who have a payment plan. A bank has taken back the first payment of the last one."""
STUDENT_VIEWS = (
    View("/"),
    View("/#/tracks/DP"),
    View("/#/sign-in"),
    View("/#/buy/DP", sees="form"),
    View("/#/nowhere", "new"),
    View("/#/buy/NONE", "new"),
    View("/", "new"),
    View("/#/buy/DP", "new", sees=".stripe-fields iframe"),
    View("/#/buy/DP", "new", click("checkbox", "I need an invoice"), "main button"),
    View("/#/learning", "new"),
    View("/#/payments", "new"),
    View("/#/payments/pay_none", "new"),
    View("/#/plans/pln_none", "new"),
    View("/#/buy/DP/4x", "new", sees=".consent"),
    View("/#/buy/ALL", "new", sees=".consent"),
    *(View("/#/plans/{plan}", state, of=state) for state in PLAN_STATES),
    *(View(f"/#/plans/{{plan}}/{name}", "plan", of="plan") for name in ("pay/next", "method", "statement")),
    View("/#/payments", "plan"),
    View("/#/learning", "taken"),
    View("/#/cards", "new"),
    View("/#/account", "new"),
    *(View("/", state) for state in ("paid", "lost", "processing")),
    *(View(address, state) for state in STUDENT_STATES for address in ("/#/learning", "/#/payments")),
    *(View("/#/payments/{payment}", state, of=state) for state in STUDENT_STATES),
    *(View("/#/buy/DP", state) for state in ("paid", "revoked", "lost", "differs")),
    View("/#/payments", "paid", click("button", "Request a refund"), "dialog"),
    View("/#/buy/FSD", "paid", sees=".way"),
    View("/#/buy/FSD", "lost"),
    View("/#/cards", "paid", sees=".rows li"),
    View("/#/cards", "paid", click("button", "Remove Mastercard"), "dialog"),
    View("/#/account", "paid"),
    View("/#/account", "paid", click("button", "Sign out everywhere…"), "dialog"),
)
CONSOLE_LISTS = (
    *("overview", "payments", "attention", "refund-requests", "disputes", "plans", "forecast", "books", "statement"),
    *("quarantine", "exports", "activity", "selling", "collecting"),
)
CONSOLE_VIEWS = (
    View("/console/", sees="form"),
    View("/console/", "new"),
    View("/console/#/nowhere", "admin"),
    *(View(f"/console/#/{name}", "admin") for name in CONSOLE_LISTS),
    View("/console/#/payments?q=nobody-has-this-address", "admin"),
    View("/console/#/disputes?state=over", "admin"),
    View("/console/#/payments/pay_none", "admin"),
    View("/console/#/plans/pln_none", "admin"),
    View("/console/#/plans/{plan}", "admin", of="plan"),
    *(
        View(f"/console/#/plans/{{plan}}?do={do}", "admin", sees="dialog", of="plan")
        for do in ("close", "pause", "reschedule&on=2")
    ),
    View("/console/#/payments/{payment}", "admin", of="plan"),
    *(View("/console/#/payments/{payment}", "admin", of=state) for state in STUDENT_STATES if state != "disputed"),
    View(
        "/console/#/payments/{payment}",
        "admin",
        click("button", "Prepare evidence"),
        "#product_description",
        "disputed",
    ),
    *(View("/console/#/users/{user}", "admin", of=state) for state in ("paid", "waiting")),
    View("/console/#/payments/{payment}", "support", of="waiting"),
    *(
        View(f"/console/#/payments/{{payment}}?do={do}", "admin", sees="dialog", of="paid")
        for do in ("refund", "revoke", "send_email")
    ),
    View("/console/#/payments/{payment}?do=accept_amount", "admin", sees="dialog", of="differs"),
    View("/console/#/payments/{payment}?do=restore", "admin", sees="dialog", of="revoked"),
    View("/console/#/refund-requests", "admin", click("button", "Approve…"), "dialog"),
    View("/console/#/refund-requests", "admin", click("button", "Decline…"), "dialog"),
    View("/console/#/selling", "admin", click("button", "Stop selling…"), "dialog"),
    View("/console/#/collecting", "admin", click("button", "Stop the charges…"), "dialog"),
    View("/console/#/payments", "admin", press("?"), "dialog"),
    View("/console/#/payments", "admin", click("button", "Account of"), "#account"),
)
VIEWS = (*STUDENT_VIEWS, *CONSOLE_VIEWS)


class People:
    """The people who open views. Each is made when a view first needs them."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.payment_of = cache(self._payment_of)
        self.plan_of = cache(self._plan_of)

    def token(self, who: str) -> str:
        """Return a person's token. A student's payment is in the state that names them."""
        if who in ("admin", "support"):
            return self.running.token(f"sweep-{who}", groups=[who])
        if who in STUDENT_STATES:
            self.payment_of(who)
        elif who in PLAN_STATES:
            self.plan_of(who)
        return self.running.token(f"sweep-{who}")

    def address(self, view: View) -> str:
        """Return a view's address, with the ids of the person that it is about."""
        ids = {"user": f"sweep-{view.of}"}
        if view.of in PLAN_STATES:
            opened = self.plan_of(view.of)
            ids |= {"plan": opened["plan_id"], "payment": opened["payment_id"]}
        elif view.of:
            ids["payment"] = self.payment_of(view.of)
        return view.address.format(**ids)

    def _plan_of(self, state: str) -> dict[str, Any]:
        """Begin a student's plan, bring it into a state, and return the answer to its begin."""
        running, token = self.running, self.running.token(f"sweep-{state}")
        opened = started(running, token, "ALL" if state == "member" else "DP")
        if state == "taken":
            running.sim("disputes", payment_intent=opened["payment_intent_id"], status="lost")
            running.until(lambda: running.enrollment(token)["status"] == "SUSPENDED", "the dispute is lost")
        return opened

    def _payment_of(self, state: str) -> str:
        """Bring a student's payment into a state, and return its id."""
        running, token = self.running, self.running.token(f"sweep-{state}")
        if state == "refunded":  # with documents: an invoice and a credit note
            payment_id = self._buy_with_invoice(token)
            self._refund(token, payment_id)
            return payment_id
        created = running.create(token).json()
        payment_id, intent = str(created["payment_id"]), created["payment_intent_id"]
        if state == "differs":
            running.stripe("POST", f"/v1/payment_intents/{intent}", amount=45000)
        methods = {"processing": "pm_usBankAccount_processing", "refunding": "pm_card_pendingRefund"}
        running.pay(intent, methods.get(state, "pm_card_visa"))
        status = "PROCESSING" if state == "processing" else "SUCCEEDED"
        running.until(lambda: running.payment(token, payment_id)["status"] == status, f"{state}: {status}")
        if state in ("disputed", "lost"):
            running.sim("disputes", payment_intent=intent, status="lost" if state == "lost" else "needs_response")
            running.until(lambda: running.payment(token, payment_id)["dispute"], state)
        elif state == "revoked":
            body = {"decision": "revoke", "note": "shared the account"}
            path = f"/api/admin/payments/{payment_id}/access"
            running.api("POST", path, running.ready["admin_token"], json=body).raise_for_status()
        elif state == "paid":
            customer = running.stripe("GET", f"/v1/payment_intents/{intent}")["customer"]
            card = running.stripe("POST", "/v1/payment_methods/pm_card_mastercard/attach", customer=customer)
            running.stripe("POST", f"/v1/payment_methods/{card['id']}", allow_redisplay="always")
        elif state in ("refunding", "waiting"):
            running.until(lambda: running.payment(token, payment_id)["payment_method"], "the charge is known")
            if state == "waiting":  # the second purchase of a track waits for staff
                self._refund(token, payment_id)
                return self._buy_again(token)
            self._refund(token, payment_id)
        return payment_id

    def _refund(self, token: str, payment_id: str) -> None:
        body = {"payment_id": payment_id, "reason": "I have no time this year"}
        self.running.api("POST", "/api/payments/request-refund", token, json=body).raise_for_status()

    def _buy_with_invoice(self, token: str) -> str:
        created = create_session(self.running, token, invoice=True).json()
        self.running.http.post(created["url"], data={**CARD, **BUSINESS})
        payment_id = str(created["payment_id"])
        self.running.until(lambda: self.running.payment(token, payment_id)["payment_method"], "paid with an invoice")
        return payment_id

    def _buy_again(self, token: str) -> str:
        created = self.running.create(token).json()
        self.running.pay(created["payment_intent_id"])
        payment_id = str(created["payment_id"])
        self.running.until(lambda: self.running.payment(token, payment_id)["payment_method"], "paid again")
        self._refund(token, payment_id)
        return payment_id
