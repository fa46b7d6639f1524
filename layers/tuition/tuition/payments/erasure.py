"""Erase a user's data: what leads from the user id to a person goes, and what the books need stays.

`request` checks that no money is open, closes payments that were never paid, and schedules the erasure. `run` performs
the erasures that are due, step by step. Each step is idempotent, so a run that is killed anywhere is resumed by the
next. The list of erasures (`tuition.payments.erasure_list`) is written before the mark in the tables: an erasure whose
request was cut off in between is completed, because its user has asked for it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tuition import clock, metrics, user_pool
from tuition.core import erasure as core_erasure
from tuition.core import timestamps
from tuition.core.audit import AuditEntry, Source
from tuition.core.erasure import Erasure
from tuition.core.errors import LegalHold, MoneyOpen, StripeRefused, TuitionError
from tuition.core.facts import Facts
from tuition.core.payment import Payment
from tuition.core.payment_state import PaymentState
from tuition.core.refs import PaymentRef
from tuition.log import logger
from tuition.payments import customers, erasure_list, legal_hold
from tuition.settings import settings
from tuition.storage import dynamodb, effects, keys, ledger, mapping, notes, queries, search
from tuition.storage.dynamodb import Item
from tuition.storage.items import CustomerItem
from tuition.storage.ledger import Change, CustomerChange
from tuition.storage.notes import NoteTopic
from tuition.stripe_gateway import client as stripe_client
from tuition.stripe_gateway import closing, sync

RUN_EVERY_S = 300
"""The schedule of the runs."""
RESERVE_S = 30
"""One payment of an erasure takes at most this long, with the call to Stripe."""
SEARCH_DELAY_S = 3600
"""So long after its creation Stripe's search may not show a customer yet. https://docs.stripe.com/api/customers/search"""
_MESSAGES: dict[str, str] = {
    "payment_processing": "A payment of yours is being processed. Ask again once it is decided.",
    "refund_undecided": "A refund of yours is not decided yet. Ask again once it is.",
    "plan_open": "A payment plan of yours is open. Pay the rest, or end it with the school's help, then ask again.",
    "dispute_open": "A bank has not decided about a disputed payment of yours yet. Ask again once it has.",
}


# --- requesting ---


def request(user_id: str, by: str, note: str | None = None) -> Erasure:
    """Schedule the erasure of a user's data, and return it. Repeated, it returns the one that is scheduled or done.

    `by` is the user, or a member of staff. Raises `LegalHold`, `MoneyOpen`, `StripeUnavailable`, `Unavailable`,
    `Contended`.
    """
    item = _customer(user_id)
    existing = Erasure.from_json(item.erasure)
    if existing:
        return existing
    legal_hold.require_none(item)
    _require_no_open_money(user_id)
    now = clock.now()
    due_at = now + 2 * RUN_EVERY_S + _wait_s()
    erasure = Erasure("scheduled", timestamps.iso(now), timestamps.iso(due_at), by, note)
    erasure_list.put("due", user_id, {"requested_at": erasure.requested_at, "due_at": erasure.due_at, "by": by})
    return _schedule(user_id, erasure, "request" if by == user_id else "staff")


def _wait_s() -> int:
    """Return after how long no token is valid any more, and Stripe's search shows every customer of a create."""
    return max(settings().token_minutes * 60, SEARCH_DELAY_S)


def _customer(user_id: str) -> CustomerItem:
    raw = dynamodb.batch_get({CustomerItem: [keys.customer_key(user_id)]})[CustomerItem]
    return CustomerItem.from_raw_data(raw[0]) if raw else CustomerItem(user_id)


def _schedule(user_id: str, erasure: Erasure, source: Source, *, again: bool = False) -> Erasure:
    """Store that an erasure is scheduled, unless one is. Return the one that is stored. Raises `LegalHold`."""
    stored = [erasure]

    def change(item: CustomerItem, seq: int) -> CustomerChange | None:
        existing = Erasure.from_json(item.erasure)
        stored[0] = existing or erasure
        if existing:
            return None
        if not again:  # a repetition passes over a hold, which the restore brought back
            legal_hold.require_none(item)
        return _change(erasure, None, seq, "requested", source)

    ledger.update_customer(user_id, change)
    return stored[0]


def _change(
    erasure: Erasure, before: Erasure | None, seq: int, what: str, source: Source, removes: tuple[str, ...] = ()
) -> CustomerChange:
    """Return the change of a customer item to this state of the erasure, with its record."""
    at = timestamps.iso(clock.now())
    entry = AuditEntry(at, f"erasure:{seq}", f"erasure.{what}", source, erasure.by)
    transition = {"erasure": {"from": before.state if before else None, "to": erasure.state}}
    values: dict[str, Item] = {"erasure": {"S": json.dumps(erasure.to_json())}}
    return CustomerChange(entry, transition, values, removes)


def _require_no_open_money(user_id: str) -> None:
    """Raise `MoneyOpen` if the money of a payment is not decided, or a plan that has begun is not over.

    Payments that were never paid are closed first, also that of a plan that has not begun.
    """
    for payment in queries.payments_of_user(user_id):
        _require_decided(payment)
    refs = _open_payments(user_id)
    for plan in queries.plans_of_user(user_id):
        if plan.status == "OPEN":
            refs += [plan.payment_ref(payment_id) for payment_id in plan.open_payments]
        elif not plan.is_final:
            raise MoneyOpen(_MESSAGES["plan_open"], "plan_open", None)
    for ref in refs:
        state = ledger.load(ref)
        if state.payment is None:
            continue
        payment = sync.refresh(ref, state)[0]  # a bank may have begun to decide, which no webhook has delivered
        _require_decided(payment)
        _require_decided(closing.close(ref) if payment.open else payment)


def _require_decided(payment: Payment) -> None:
    reason = core_erasure.open_money(payment)
    if reason:
        raise MoneyOpen(_MESSAGES[reason[0]], *reason)


def _open_payments(user_id: str) -> list[PaymentRef]:
    """Return the open payments of all tracks. In the user's partition, every other sort key has a `#`."""
    items = queries.user_items(user_id)
    enrollments = [mapping.enrollment_from_raw(raw) for name, raw in items.items() if "#" not in name]
    return [PaymentRef(payment_id, user_id, one.track) for one in enrollments for payment_id in one.open_payments]


# --- performing ---


@dataclass
class Report:
    """The result of a run: how many erasures it finished, and how many wait for their time, for money, or for a hold.

    `failed` failed on the way and are tried again by the next run. `done` is false if the time was up before the end.
    """

    erased: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0
    done: bool = True


def run(remaining: Callable[[], float]) -> Report:
    """Perform the erasures that are due, as far as `remaining()` seconds allow. One that fails holds up no other.

    A run without time for all stores its position. The next one begins with the erasure that this one could not
    complete, or behind it if it was the first: then it had the whole time, and may need that of many runs. An error
    that is no `TuitionError` ends the run, and the next one begins behind its erasure.
    """
    clock.start_deadline()
    report, late_since = Report(), clock.now()
    last: str | None = None
    for user_id in erasure_list.due_from_position():
        if remaining() < RESERVE_S:
            report.done = False
            break
        clock.start_deadline()
        try:
            late_since = min(late_since, _perform(user_id, remaining, report))
        except Exception:
            erasure_list.put_position(user_id)
            raise
        if not report.done:
            last = last or user_id
            break
        last = user_id
    if last is not None and not report.done:
        erasure_list.put_position(last)
    metrics.age("ErasureAge", max(0, clock.now() - late_since))
    return report


def _perform(user_id: str, remaining: Callable[[], float], report: Report) -> float:
    """Do what can be done now for one user. Return since when the erasure is late: now, if it is finished or held."""
    late_since = clock.now()
    try:
        one = _Erase(user_id, remaining)
        late_since = min(late_since, one.due_at)
        one.step(report)
    except LegalHold:
        report.held += 1
        return clock.now()
    except TuitionError as error:
        report.failed += 1
        logger.exception("an erasure failed", user_id=user_id, problem=error.type)
        return late_since
    return clock.now() if one.is_finished else late_since


def again(remaining: Callable[[], float], after: str | None = None) -> tuple[Report, str | None]:
    """Put the erasures that are done on the list again, then `run`: after a restore, their data are back in the tables.

    A repetition erases only what was created before the first time. Also return where to continue, as `after`, if the
    time was up before every erasure was on the list; else None.
    """
    for user_id in erasure_list.users("done", after):
        if remaining() < RESERVE_S:
            return Report(done=False), after
        erasure_list.put("due", user_id, erasure_list.read("done", user_id))
        after = user_id
    return run(remaining), None


class _Erase:
    """The erasure of one user, as far as it has come."""

    def __init__(self, user_id: str, remaining: Callable[[], float]) -> None:
        self._user_id, self._remaining = user_id, remaining
        self._deleted: set[str] = set()
        entry = erasure_list.read("due", user_id)
        self._erased_at: str | None = entry.get("erased_at")
        values: dict[str, Any] = {name: entry.get(name) for name in _LISTED}
        self._listed = Erasure("scheduled", **values)
        self.due_at = timestamps.epoch(self._listed.due_at)
        self.is_finished = False

    def step(self, report: Report) -> None:
        """Do what can be done now. Raises `LegalHold` while staff hold the data."""
        erasure = _schedule(self._user_id, self._listed, "reconcile", again=self._is_repetition)
        item = _customer(self._user_id)
        if erasure.state == "scheduled" and not self._is_repetition:
            legal_hold.require_none(item)
            erasure = self._end_sign_in(erasure, item)
            if not self._may_begin(erasure):
                report.waiting += 1
                return
        if erasure.state == "scheduled":
            erasure = self._move(erasure, replace(erasure, state="erasing"), "begun")
        if not self._erase(item):
            report.done = False
            return
        if erasure.state == "erasing":
            erasure = self._move(erasure, self._done(erasure), "done", _REMOVED)
        user_pool.delete_user(self._user_id)
        erasure_list.put("done", self._user_id, {name: getattr(erasure, name) for name in _LISTED})
        erasure_list.remove_due(self._user_id)
        self.is_finished = True
        report.erased += 1

    def _end_sign_in(self, erasure: Erasure, item: CustomerItem) -> Erasure:
        """End the sign-in, again after a hold that was lifted since: staff may have enabled it while the hold stood."""
        lifted_at = (item.legal_hold_decision or {}).get("at", "")
        if erasure.sign_in_ended_at and erasure.sign_in_ended_at >= lifted_at:
            return erasure
        user_pool.end_sign_in(self._user_id)
        return self._move(erasure, replace(erasure, sign_in_ended_at=timestamps.iso(clock.now())), "sign_in_ended")

    def _may_begin(self, erasure: Erasure) -> bool:
        """Whether no token of the user is valid any more, Stripe's search is complete, and all money is decided."""
        earliest = timestamps.epoch(erasure.sign_in_ended_at or erasure.due_at) + _wait_s()
        if clock.now() < max(timestamps.epoch(erasure.due_at), earliest):
            return False
        try:
            _require_no_open_money(self._user_id)
        except MoneyOpen:
            return False
        return True

    def _done(self, erasure: Erasure) -> Erasure:
        """Return the erasure as it is done, at the first time if this is a repetition."""
        return replace(erasure, state="erased", note=None, erased_at=self._erased_at or timestamps.iso(clock.now()))

    @property
    def _is_repetition(self) -> bool:
        return self._erased_at is not None

    def _move(self, before: Erasure, after: Erasure, what: str, removes: tuple[str, ...] = ()) -> Erasure:
        """Store the next state with a record, unless another run has. Raises `LegalHold` if it begins while held."""

        def change(item: CustomerItem, seq: int) -> CustomerChange | None:
            if Erasure.from_json(item.erasure) != before:
                return None
            if what == "begun" and not self._is_repetition:
                legal_hold.require_none(item)
            return _change(after, before, seq, what, "reconcile", removes)

        ledger.update_customer(self._user_id, change)
        return Erasure.from_json(_customer(self._user_id).erasure) or after

    def _erase(self, item: CustomerItem) -> bool:
        """Erase the payments, notes and customer of the user. Return False if the time was up before the end."""
        for payment in queries.payments_of_user(self._user_id):
            if self._erased_at and payment.created_at > self._erased_at:
                continue
            if self._remaining() < RESERVE_S:
                return False
            clock.start_deadline()
            self._erase_payment(payment)
        notes.erase(NoteTopic(self._user_id), self._erased_at)
        self._delete_customer(item.stripe_customer_id)
        if item.email:
            effects.forget_address(item.email)
        return self._delete_uncommitted_customers()

    def _delete_uncommitted_customers(self) -> bool:
        """Delete the customers of creates that were killed before their commit. Return False if some are left.

        Only Stripe names them. A repetition leaves those that were created after the first time. So does every erasure
        with a customer whose pointer names another user: anybody with access to Stripe's dashboard can edit metadata.
        """
        if self._remaining() < RESERVE_S:
            return False
        clock.start_deadline()
        uncommitted, has_more = customers.search(self._user_id)
        for customer in uncommitted:
            if self._erased_at and customer["created"] > timestamps.epoch(self._erased_at):
                continue
            if self._remaining() < RESERVE_S:
                return False
            clock.start_deadline()
            if self._is_of_another_user(customer["id"]):
                logger.warning("the customer of another user has this user id in its metadata", user_id=self._user_id)
                continue
            self._delete_customer(customer["id"])
        return not has_more

    def _is_of_another_user(self, customer_id: str) -> bool:
        pointer = queries.stripe_object(customer_id)
        return pointer is not None and pointer.user_id != self._user_id

    def _erase_payment(self, payment: Payment) -> None:
        """Erase a payment. The Stripe customer and the address go first, because only the payment names them."""
        self._delete_customer(payment.customer)
        self._delete_customer(payment.facts.customer)
        withdrawn = payment.facts.withdrawn
        for address in {payment.email, withdrawn.email if withdrawn else None} - {None}:
            effects.forget_address(str(address))
        ledger.update(payment.ref, _erased)
        search.refresh(payment.payment_id)

    def _delete_customer(self, customer_id: str | None) -> None:
        """Delete a customer at Stripe, then its pointer. One that is missing at Stripe is deleted already."""
        if customer_id is None or customer_id in self._deleted:
            return
        try:
            stripe_client.delete_customer(customer_id)
        except StripeRefused as refused:
            if refused.code != "resource_missing":
                raise
        ledger.remove_customer_pointer(customer_id)
        self._deleted.add(customer_id)


_LISTED = ("requested_at", "due_at", "by", "erased_at")
"""The fields of an erasure that its entry on the list has."""
_REMOVED = ("stripe_customer_id", "generation", "email", "purchase_decision", "legal_hold_decision", "legal_hold")
"""The attributes of a customer item that an erasure removes. Only a restore has brought back a hold by then."""


def _erased(state: PaymentState) -> Change | None:
    """Return the change that erases a payment and marks its enrollment; None if both are, or it is missing."""
    payment = state.payment
    if payment is None or (payment.facts.erased and state.enrollment.erased):
        return None
    entry = AuditEntry(timestamps.iso(clock.now()), f"erased:{payment.version}", "payment.erased", "reconcile")
    return Change(payment.merged(Facts(erased=True)), entry)
