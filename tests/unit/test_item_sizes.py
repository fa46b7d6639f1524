"""The largest item of a payment and of an enrollment fits into DynamoDB, measured in bytes as stored."""

import zoneinfo
from dataclasses import replace
from typing import Any

from tuition.core import (
    attention,
    audit,
    books,
    consent,
    offers,
    plan_attention,
    plan_facts,
    plan_parts,
    recorded_facts,
    refund_request,
    stripe_json,
    timestamps,
)
from tuition.core import facts as core_facts
from tuition.core.audit import AuditEntry, Record
from tuition.core.enrollment import MAX_PAST_STANDINGS, Enrollment
from tuition.core.facts import (
    NO_FACTS,
    Acknowledgement,
    Balance,
    BalanceTransaction,
    Charge,
    Closed,
    Comparison,
    CreditNote,
    Dispute,
    Facts,
    FraudWarning,
    Phase,
    Refund,
    Settled,
    merge,
)
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.plan import Plan
from tuition.core.plan_facts import Announced, Answer, Method, PlanDecision, PlanFacts, Try
from tuition.core.plan_rules import MAX_CHARGE_DAYS, MAX_DAYS
from tuition.core.plan_terms import MAX_PERIODS, PlanTerms
from tuition.core.refs import PaymentRef
from tuition.core.refund_request import RefundRequest
from tuition.core.stripe_json import MAX_AMOUNT
from tuition.payments import credit_notes, refunds
from tuition.storage import dynamodb, mapping
from tuition.storage.json_attribute import JsonAttribute
from tuition.stripe_gateway import resolve

ITEM_BYTES = 400 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
EMOJI = "\U0001f600" * refunds.MAX_TEXT_LENGTH
STAFF = "5f0c1a2e-" + "0" * 27
TIME = "2026-11-23T18:00:00.000Z"


def stored_bytes(raw: dict[str, Any]) -> int:
    return sum(len(name.encode()) + sum(len(str(v).encode()) for v in value.values()) for name, value in raw.items())


def largest_payment() -> Payment:
    code = "c" * 100
    requests = tuple(
        RefundRequest(
            *(f"rr_{n:020}", 10**8, EMOJI, STAFF, TIME, "rejected"), tries=99, note=EMOJI, message=EMOJI,
            answer="a" * refund_request.MAX_ANSWER_LENGTH, decided_by=STAFF, refund=f"re_{n:024}", order_key="0" * 20,
        )
        for n in range(refund_request.MAX_REQUESTS)
    )  # fmt: skip
    facts = Facts(settled=Settled(10**8, "usd", 1), phase=Phase(1, 1, "failed", code, "\U0001f600" * 500), rebuilt=True)
    for n in range(3 * core_facts.MAX_ACKNOWLEDGED):
        facts = merge(
            facts,
            Facts(
                charges={f"ch_{n:024}": Charge("failed", 10**8, n, code, code, "4242", "u" * 500, code, advice=code)},
                claims={f"cs_live_{n:060}": Settled(1, "usd", n)},
                acknowledged={f"claim:cs_live_{n:060}": Acknowledgement(n, f"cs_live_{n:060}", STAFF, EMOJI)},
            ),
        )
    for n in range(2 * core_facts.MAX_CHALLENGES):
        unknown = {f"re_{n:024}.status": "\U0001f600" * stripe_json.MAX_UNKNOWN_LENGTH}
        facts = merge(facts, Facts(challenges={f"pm_{n:024}": 10**9}, unknown=unknown))
    problem = "p" * books.MAX_PROBLEM_LENGTH
    facts = merge(
        facts,
        Facts(
            confirmed=Settled(10**8 - 1, "usd", 1),
            balance=Balance(10**8, 10**8, "usd"),
            compared={name: Comparison(1, problem) for name in ("books", "chain")},
            fraud_warnings={f"issfr_{n:024}": FraudWarning(10**9, code) for n in range(5)},
        ),
    )
    for n in range(2 * core_facts.MAX_BALANCE_TRANSACTIONS):
        transaction = BalanceTransaction("dispute", f"re_{n:024}", -(10**8), "usd", 10**9, f"pi_{n:024}")
        facts = merge(facts, Facts(balance_transactions={f"txn_{n:024}": transaction}))
    for n in range(refund_request.MAX_REQUESTS):
        refund = Refund("failed", 10**8, n, "requested_by_customer", f"rr_{n:020}", "lost_or_stolen_card")
        note = CreditNote(refusal="c" * credit_notes.MAX_REFUSAL_LENGTH)
        facts = merge(facts, Facts(refunds={f"re_{n:024}": refund}, credit_notes={f"re_{n:024}": note}))
    for n in range(5):
        facts = merge(facts, Facts(disputes={f"du_{n:024}": Dispute(n, "lost", 10**8, n, code, 10**8, 10**9)}))
    return Payment(
        payment_id="pay_" + "a" * 24, user_id=STAFF, track="DP", kind="intent", attempt=1, stripe_object_id="pi_1",
        price=Money(49_900, "usd"), created_at=TIME, updated_at=TIME, email="e" * 320, facts=facts,
    ).with_requests(requests)  # fmt: skip


def test_the_largest_payment_fits_into_an_item() -> None:
    payment = largest_payment()
    raw = dynamodb.to_raw(mapping.payment_to_item(payment, 0, attention.reasons(payment, double=True)))
    assert mapping.payment_from_raw(raw) == payment
    assert 300_000 < stored_bytes(raw) < ITEM_BYTES - 10_000


def test_the_largest_record_fits_into_an_item() -> None:
    """It is that of a payment with everything, which was lost and is rebuilt: it adds all facts at once."""
    payment = largest_payment()
    nothing = PaymentState(None, Enrollment(user_id=STAFF, track="DP"))
    changed = PaymentState(payment, nothing.enrollment.with_payment(payment))
    facts = recorded_facts.added(NO_FACTS, payment.facts)
    entry = AuditEntry(TIME, "evt_" + "0" * 24, "rebuilt", "reconcile", actor=STAFF)
    transition = audit.transition(nothing, changed)
    record = Record(payment.payment_id, 1, entry, STAFF, "DP", transition, "0" * 64, facts=facts)
    raw = dynamodb.to_raw(mapping.record_to_item(record, 0))
    of_facts = stored_bytes({"facts": raw["facts"]})
    assert 55_000 < of_facts < 66_000
    assert of_facts < stored_bytes(raw) < ITEM_BYTES // 2


def largest_terms() -> PlanTerms:
    return PlanTerms(
        offer="o" * offers.MAX_NAME_LENGTH, amounts=(MAX_AMOUNT,) * offers.MAX_INSTALLMENTS, currency="usd",
        every="2 weeks", consent_version=f"{consent.WORDING}-{'0' * 10}", agreed_at=2**33,
        grace_days=999, retry_days=(0, *range(990, 989 + MAX_CHARGE_DAYS)), give_up_days=MAX_DAYS, notice_days=365,
        zone=max(zoneinfo.available_timezones(), key=len),
    )  # fmt: skip


def largest_plan() -> Plan:
    """Return a membership of 20 years at all its limits. What Stripe names has its longest id."""
    code, pm = "c" * 40, "pm_" + "0" * 24
    terms = replace(largest_terms(), amounts=(MAX_AMOUNT,), endless=True)
    plan = Plan(
        plan_id="pln_" + "a" * 24, user_id=STAFF, track=None, membership="m" * 20, attempt=99, terms=terms,
        created_at=TIME, updated_at=TIME,
    )  # fmt: skip
    charges = {
        f"ch_{n:024}": Charge(
            "failed", 1, n, "us_bank_account", code=code, advice="do_not_try_again", payment_method=pm
        )
        for n in range(3 * plan_parts.MAX_DECLINES)
    }
    refunds_ = {f"re_{n:024}": Refund("failed", 1, n, "requested_by_customer", f"rr_{n:020}") for n in range(3)}
    paid = replace(
        largest_payment(),
        plan=plan.plan_id,
        facts=Facts(settled=Settled(MAX_AMOUNT, "usd", 2**33), charges=charges, refunds=refunds_),
        requests=(),
    )
    closed = replace(paid, facts=Facts(closed=Closed(1, "intent", "abandoned"), charges=charges))
    for number in range(1, MAX_PERIODS + 3 * plan_parts.MAX_CLOSED):
        payment = paid if number <= MAX_PERIODS else closed
        name = f"pay_{number:024}"
        plan = plan.with_payment(replace(payment, payment_id=name, attempt=number, covers=(min(number, MAX_PERIODS),)))
    facts = PlanFacts(tracks={"t" * 18 + f"{n:02}": 2**33 for n in range(10)}, observed=2**33)
    for n in range(3 * plan_facts.MAX_TRIES):
        day = timestamps.day_after("2030-01-01", n)
        answer = Answer(2**33, f"ch_{n:024}", code, code)
        one = Try(at=2**33 + n, payment_id=f"pay_{n:024}", seq=n, method=pm, answer=answer)
        method = Method(set_up=n, type="us_bank_account", chosen=n, updated=n, replaced=n, gone=n)
        note = Acknowledgement(n, f"pay_{n:024}", STAFF, EMOJI)
        key = Announced(n, day).key
        new = PlanFacts(
            announced={key: 2**33}, bounced={key: 2**33}, tries={f"day:{day}": one}, methods={f"pm_{n:024}": method},
            acknowledged={f"unexplained_refund:pay_{n:024}": note},
        )  # fmt: skip
        facts = plan_facts.merge(facts, new)
    for n in range(plan_facts.MAX_DECISIONS + 5):
        decision = PlanDecision(
            version=n, decision="continue", at=2**33, actor=STAFF, accepts=(f"rr_{n:020}",) * 2, note=EMOJI
        )
        facts = plan_facts.merge(facts, PlanFacts(decisions={f"dec_{n:020}": decision}))
    return plan.merged(facts)


def test_the_largest_plan_fits_into_an_item() -> None:
    plan = largest_plan()
    raw = dynamodb.to_raw(mapping.plan_to_item(plan, plan_attention.reasons(plan)))
    assert mapping.plan_from_raw(raw) == plan
    sizes = {name: stored_bytes({name: value}) for name, value in raw.items()}
    assert 200_000 < stored_bytes(raw) < ITEM_BYTES - 10_000, sizes


def test_the_metadata_of_the_largest_plan_fit_into_stripe() -> None:
    """Source: https://docs.stripe.com/api/metadata."""
    plan = Plan(
        plan_id="pln_" + "a" * 24, user_id=STAFF, track="DP", membership=None, attempt=99, created_at=TIME,
        updated_at=TIME, terms=largest_terms(),
    )  # fmt: skip
    ref = PaymentRef("pay_" + "a" * 24, STAFF, "DP")
    metadata = resolve.metadata(ref, 99, "checkout", plan, plan.terms.seqs)
    assert len(metadata) <= 50
    assert max(map(len, metadata.values())) <= 500
    assert "agreed_at" not in metadata["plan_terms"]  # two creates of one request differ in nothing


def test_text_is_stored_without_escapes() -> None:
    attribute = JsonAttribute()
    for value, size in (({"note": EMOJI}, 2000), ({"note": "ä"}, 2), ({"note": "\ud83d"}, 6)):
        stored = str(attribute.serialize(value))
        assert len(stored.encode()) == size + len('{"note":""}')
        assert attribute.deserialize(stored) == value


def test_an_enrollment_keeps_the_newest_past_standings_and_each_current_one() -> None:
    settled = replace(largest_payment(), facts=Facts(settled=Settled(49_900, "usd", 1)), requests=())
    refunded = merge(settled.facts, Facts(refunds={"re_1": Refund("succeeded", 49_900, 1)}))
    enrollment = Enrollment(user_id=STAFF, track="DP")
    for n in range(200):
        facts = settled.facts if n in (0, 7) else refunded
        enrollment = enrollment.with_payment(replace(settled, payment_id=f"pay_{n:024}", attempt=n, facts=facts))
    assert len(enrollment.standings) == MAX_PAST_STANDINGS + 2
    assert (enrollment.status, enrollment.attempt) == ("ENROLLED", 199)
    assert enrollment.doubled == [f"pay_{7:024}"]
    late = replace(settled, payment_id=f"pay_{3:024}", attempt=3, facts=refunded)
    assert enrollment.with_payment(late) == enrollment
    raw = dynamodb.to_raw(mapping.enrollment_to_item(enrollment))
    assert stored_bytes(raw) < 20_000
