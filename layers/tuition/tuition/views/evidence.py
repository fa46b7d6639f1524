"""The evidence for a dispute, as staff read and edit it: the draft, and what our records say."""

from typing import Any

from tuition.core import catalog
from tuition.core import evidence as rules
from tuition.core.payment import Payment
from tuition.storage import notes, queries
from tuition.storage.notes import NoteTopic
from tuition.views import facts_json, staff, student, timelines


def shown(payment: Payment, dispute_id: str) -> dict[str, Any]:
    """Return the evidence for a dispute of a payment. `fields` are the draft's; without one, what our records say.

    `saved_at` and `saved_by` are None without a draft. `state` is `draft`, `submitting` or `sent`.
    """
    topic = NoteTopic(payment.user_id, payment.payment_id)
    item = notes.evidence_of(topic, dispute_id, notes.read(topic))
    assembled = _assembled(payment)
    fields = item.evidence["fields"] if item else assembled
    return {
        "dispute": facts_json.dispute_json(payment, dispute_id),
        "fields": fields,
        "assembled": assembled,
        "names": list(rules.FIELDS),
        "characters": rules.characters(fields),
        "max_characters": rules.MAX_CHARACTERS,
        "state": item.evidence["state"] if item else "draft",
        "saved_at": item.evidence["saved_at"] if item else None,
        "saved_by": item.actor if item else None,
    }


def _assembled(payment: Payment) -> dict[str, str]:
    code = payment.product
    product = catalog.memberships()[code] if payment.membership else catalog.tracks()[code]
    plan = staff.plan_of(payment)
    tracks = plan.tracks if plan else (code,)
    enrollments = student.enrollments_json(queries.user_items(payment.user_id))
    projects = [project for one in enrollments if one["track"] in tracks for project in one["projects"]]
    sent = [(email["at"], email["kind"]) for email in timelines.emails(payment.payment_id) if email["state"] == "sent"]
    chains = [payment.payment_id, *([plan.plan_id] if plan else [])]
    records = sorted((one for chain in chains for one in queries.audit_trail(chain)), key=lambda one: str(one["at"]))
    return rules.assembled(payment, product, records, projects, sent, plan)
