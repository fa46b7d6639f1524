"""Disputes and inquiries.

https://docs.stripe.com/disputes
https://docs.stripe.com/testing#disputes
"""

from typing import Any

from stripe_simulator import lists
from stripe_simulator.account import Account, Call, task
from stripe_simulator.errors import invalid_request
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import balance_transactions, mandates, payment_methods
from stripe_simulator.store import Object, public_fields

OPEN_STATUSES = ("needs_response", "warning_needs_response", "appeal_needs_response")
EVIDENCE_FIELDS = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
REFUNDABLE_STATUSES = ("won", "warning_needs_response", "warning_under_review", "warning_closed")
DAY_S = 24 * 3600
RESPONSE_TIME_S, INQUIRY_TIME_S = 9 * DAY_S, 120 * DAY_S


def open_dispute(account: Account, charge: Object, reason: str, status: str = "needs_response") -> Object:
    """Open a dispute of a charge. An inquiry (`warning_needs_response`) moves no funds."""
    kind = charge["payment_method_details"]["type"]
    dispute: Object = {
        "id": f"du_1{account.store.token(23)}",
        "object": "dispute",
        "amount": charge["amount"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": account.clock.unix(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE_FIELDS) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": status.startswith("warning_"),
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": status,
    }
    if kind == "card":
        dispute["payment_method_details"] = {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "inquiry" if status.startswith("warning_") else "chargeback",
                "network": charge["payment_method_details"]["card"]["brand"],
                "network_reason_code": dispute["network_reason_code"],
            },
            "type": "card",
        }
    account.store.add(dispute)
    _schedule_due_date(account, dispute)
    account.schedule("dispute.due", dispute["id"], seconds=INQUIRY_TIME_S)
    charge["disputed"], charge["_refundable"] = True, status in REFUNDABLE_STATUSES
    account.emit("charge.dispute.created", dispute)
    if not status.startswith("warning_"):
        _withdraw(account, dispute)
    if status == "prevented":
        account.emit("charge.dispute.closed", dispute)
    if kind == "us_bank_account":
        mandates.refuse_authorization(account, charge["payment_method"])
    return dispute


def _schedule_due_date(account: Account, dispute: Object) -> None:
    dispute["evidence_details"]["due_by"] = account.clock.unix() + RESPONSE_TIME_S
    account.schedule("dispute.due", dispute["id"], seconds=RESPONSE_TIME_S)


def _withdraw(account: Account, dispute: Object) -> None:
    transaction = balance_transactions.add(
        account,
        "adjustment",
        dispute,
        -dispute["amount"],
        balance_transactions.DISPUTE_FEE,
        f"Chargeback withdrawal for {dispute['charge']}",
    )
    dispute["balance_transactions"].append(public_fields(transaction))
    account.emit("charge.dispute.funds_withdrawn", dispute)


def _reinstate(account: Account, dispute: Object) -> None:
    transaction = balance_transactions.add(
        account,
        "adjustment",
        dispute,
        dispute["amount"],
        -balance_transactions.DISPUTE_FEE,
        f"Chargeback reversal for {dispute['charge']}",
    )
    dispute["balance_transactions"].append(public_fields(transaction))
    account.emit("charge.dispute.funds_reinstated", dispute)


def set_status(account: Account, dispute: Object, status: str) -> None:
    """Change the status of a dispute, with the events and movements of funds that belong to it."""
    previous_status = dispute["status"]
    if status == previous_status:
        return
    dispute["status"], previous = status, {"status": previous_status}
    if status == "needs_response":  # an escalated inquiry, or a reopened dispute, has a due date of its own
        previous["evidence_details"] = {"due_by": dispute["evidence_details"]["due_by"]}
        _schedule_due_date(account, dispute)
    charge = account.store.get("charge", dispute["charge"])
    charge["_refundable"] = status in REFUNDABLE_STATUSES
    dispute["is_charge_refundable"] = status.startswith("warning_") and status != "warning_closed"
    are_funds_withdrawn = len(dispute["balance_transactions"]) % 2 == 1
    is_closed = status in ("won", "lost", "warning_closed", "prevented")
    if status in ("needs_response", "lost", "prevented") and not are_funds_withdrawn:
        _withdraw(account, dispute)
    event_type = "charge.dispute.closed" if is_closed else "charge.dispute.updated"
    account.emit(event_type, dispute, previous)
    if status == "won" and are_funds_withdrawn:
        _reinstate(account, dispute)


def on_success(account: Account, intent: Object, charge: Object) -> None:
    """Open a dispute at once if the payment used a test card that causes one."""
    behavior = payment_methods.behavior_of(charge["_test"])
    if behavior.dispute:
        status = "warning_needs_response" if behavior.inquiry else "needs_response"
        open_dispute(account, charge, behavior.dispute, status)


def close_inquiries(account: Account, charge: Object) -> None:
    """Close the open inquiries of a charge, which a full refund does."""
    for dispute in account.store.all("dispute"):
        if dispute["charge"] == charge["id"] and dispute["status"] in (
            "warning_needs_response",
            "warning_under_review",
        ):
            account.store.keep(dispute)
            set_status(account, dispute, "warning_closed")


def update(call: Call) -> Object:
    """POST /v1/disputes/:id. Submits the evidence unless `submit` is false."""
    dispute, params = call.store.get("dispute", call.ids[0]), call.params
    if "evidence" in params and dispute["status"] not in OPEN_STATUSES:
        raise invalid_request(f"This dispute is already {dispute['status']}: evidence can no longer be submitted.")
    before = public_fields(dispute)
    if "metadata" in params:
        dispute["metadata"] = merge_metadata(dispute["metadata"], params["metadata"])
    if "intended_submission_method" in params:
        dispute["intended_submission_method"] = params["intended_submission_method"]
    evidence: dict[str, Any] = params.get("evidence") or {}
    if evidence:
        dispute["evidence"] |= {name: value or None for name, value in evidence.items()}
        dispute["evidence_details"]["has_evidence"] = True
    if evidence and params.get("submit", True):
        dispute["evidence_details"]["submission_count"] += 1
        dispute["evidence_details"]["submission_method"] = "manual"
        prefix = dispute["status"].removesuffix("needs_response")
        dispute["status"] = f"{prefix}under_review"
        call.account.schedule("dispute.decide", dispute["id"], evidence.get("uncategorized_text") or "")
    return call.account.emit_update(dispute, before, "charge.dispute.updated")


@task("dispute.decide")
def _decide(account: Account, id: str, text: str) -> None:
    dispute = account.store.get("dispute", id)
    is_inquiry = dispute["status"].startswith("warning_")
    outcomes = {
        "winning_evidence": "warning_closed" if is_inquiry else "won",
        "losing_evidence": "warning_closed" if is_inquiry else "lost",
        "escalate_inquiry_evidence": "needs_response" if is_inquiry else dispute["status"],
    }
    if dispute["status"].endswith("under_review") and text in outcomes:
        set_status(account, dispute, outcomes[text])


@task("dispute.due")
def _end_unanswered(account: Account, id: str) -> None:
    """Lose a dispute that is unanswered at its due date, and close an inquiry that the bank did not escalate.

    https://docs.stripe.com/disputes/how-disputes-work
    """
    dispute, now = account.store.get("dispute", id), account.clock.now()
    if dispute["status"] == "needs_response" and now >= dispute["evidence_details"]["due_by"]:
        set_status(account, dispute, "lost")
    elif dispute["status"].startswith("warning_") and now >= dispute["created"] + INQUIRY_TIME_S:
        set_status(account, dispute, "warning_closed")


def close(call: Call) -> Object:
    """POST /v1/disputes/:id/close. Accepts the dispute as lost."""
    dispute = call.store.get("dispute", call.ids[0])
    if dispute["status"] not in OPEN_STATUSES:
        raise invalid_request("This dispute is already closed.")
    set_status(call.account, dispute, "warning_closed" if dispute["status"].startswith("warning_") else "lost")
    return public_fields(dispute)


def retrieve(call: Call) -> Object:
    """GET /v1/disputes/:id."""
    return public_fields(call.store.get("dispute", call.ids[0]))


def list_(call: Call) -> Object:
    """GET /v1/disputes?charge&payment_intent&created."""
    disputes = lists.select(call.store.all("dispute"), call.params, "charge", "payment_intent")
    return lists.page(disputes, call.params, call.path, "dispute")


ROUTES = {
    "GET /v1/disputes": list_,
    "GET /v1/disputes/*": retrieve,
    "POST /v1/disputes/*": update,
    "POST /v1/disputes/*/close": close,
}
