"""Disputes and inquiries. https://docs.stripe.com/disputes https://docs.stripe.com/testing#disputes"""

from typing import Any

from stripe_simulator import lists
from stripe_simulator.account import Account, Call, later
from stripe_simulator.errors import invalid
from stripe_simulator.params import merge_metadata
from stripe_simulator.resources import balance_transactions, payment_methods, payments
from stripe_simulator.store import Object, shown

OPEN = ("needs_response", "warning_needs_response", "appeal_needs_response")
EVIDENCE = (
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
REFUNDABLE = ("won", "warning_needs_response", "warning_under_review", "warning_closed")
RESPOND_S = 9 * 24 * 3600


def open_(account: Account, charge: Object, reason: str, status: str = "needs_response") -> Object:
    """A new dispute of a charge; an inquiry (`warning_needs_response`) moves no funds."""
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
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": account.clock.unix() + RESPOND_S,
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
    charge["disputed"], charge["_refundable"] = True, status in REFUNDABLE
    account.emit("charge.dispute.created", dispute)
    if not status.startswith("warning_"):
        _withdraw(account, dispute)
    if status == "prevented":
        account.emit("charge.dispute.closed", dispute)
    return dispute


def _withdraw(account: Account, dispute: Object) -> None:
    moved = balance_transactions.record(
        account,
        "adjustment",
        dispute,
        -dispute["amount"],
        balance_transactions.DISPUTE_FEE,
        f"Chargeback withdrawal for {dispute['charge']}",
    )
    dispute["balance_transactions"].append(shown(moved))
    account.emit("charge.dispute.funds_withdrawn", dispute)


def _reinstate(account: Account, dispute: Object) -> None:
    moved = balance_transactions.record(
        account,
        "adjustment",
        dispute,
        dispute["amount"],
        -balance_transactions.DISPUTE_FEE,
        f"Chargeback reversal for {dispute['charge']}",
    )
    dispute["balance_transactions"].append(shown(moved))
    account.emit("charge.dispute.funds_reinstated", dispute)


def put(account: Account, dispute: Object, status: str) -> None:
    """Move a dispute to a status, with its events and its funds."""
    before, was = dispute["status"], shown(dispute)
    if status == before:
        return
    dispute["status"] = status
    charge = account.store.get("charge", dispute["charge"])
    inquiry = status.startswith("warning_")
    charge["_refundable"] = status in REFUNDABLE
    dispute["is_charge_refundable"] = inquiry and status != "warning_closed"
    funds_out = len(dispute["balance_transactions"]) % 2 == 1
    closed = status in ("won", "lost", "warning_closed", "prevented")
    if status in ("needs_response", "lost", "prevented") and not funds_out:
        _withdraw(account, dispute)
    kind = "charge.dispute.closed" if closed else "charge.dispute.updated"
    account.emit(kind, dispute, {"status": was["status"]})
    if status == "won" and funds_out:
        _reinstate(account, dispute)


def paid(account: Account, intent: Object, charge: Object) -> None:
    """A card that makes disputes has paid: the dispute is there at once."""
    how = payment_methods.behaviour_of(charge["_test"])
    if how.dispute:
        status = "prevented" if how.prevented else "warning_needs_response" if how.inquiry else "needs_response"
        open_(account, charge, how.dispute, status)


payments.PAID.append(paid)


def averted(account: Account, charge: Object) -> None:
    """A full refund ends an inquiry."""
    for dispute in account.store.all("dispute"):
        if dispute["charge"] == charge["id"] and dispute["status"] in (
            "warning_needs_response",
            "warning_under_review",
        ):
            put(account, dispute, "warning_closed")


def update(call: Call) -> Object:
    """POST /v1/disputes/:id: evidence, which is submitted unless `submit` is false."""
    dispute, params = call.store.get("dispute", call.ids[0]), call.params
    if "evidence" in params and dispute["status"] not in OPEN:
        raise invalid(f"This dispute is already {dispute['status']}: evidence can no longer be submitted.")
    before = shown(dispute)
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
        call.account.after("dispute.decide", dispute["id"], evidence.get("uncategorized_text") or "")
    changed = {name: before[name] for name in before if before[name] != dispute[name]}
    if changed:
        call.account.emit("charge.dispute.updated", dispute, changed)
    return shown(dispute)


@later("dispute.decide")
def _decide(account: Account, id: str, text: str) -> None:
    dispute = account.store.get("dispute", id)
    inquiry = dispute["status"].startswith("warning_")
    outcomes = {
        "winning_evidence": "warning_closed" if inquiry else "won",
        "losing_evidence": "warning_closed" if inquiry else "lost",
        "escalate_inquiry_evidence": "needs_response" if inquiry else dispute["status"],
    }
    if dispute["status"].endswith("under_review") and text in outcomes:
        put(account, dispute, outcomes[text])


def close(call: Call) -> Object:
    """POST /v1/disputes/:id/close: accept that it is lost."""
    dispute = call.store.get("dispute", call.ids[0])
    if dispute["status"] not in OPEN:
        raise invalid("This dispute is already closed.")
    put(call.account, dispute, "warning_closed" if dispute["status"].startswith("warning_") else "lost")
    return shown(dispute)


def retrieve(call: Call) -> Object:
    """GET /v1/disputes/:id"""
    return shown(call.store.get("dispute", call.ids[0]))


def list_(call: Call) -> Object:
    """GET /v1/disputes?charge&payment_intent&created"""
    chosen = lists.matching(call.store.all("dispute"), call.params, "charge", "payment_intent")
    return lists.page(chosen, call.params, call.path, "dispute")


ROUTES = {
    "GET /v1/disputes": list_,
    "GET /v1/disputes/*": retrieve,
    "POST /v1/disputes/*": update,
    "POST /v1/disputes/*/close": close,
}
