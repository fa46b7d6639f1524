"""The archive of audit records: its attributes, the names and the content of its objects, and the end of their lock.

A locked object cannot be corrected. So only attributes that are declared here are written, and none of them is
personal: ids, kinds, statuses, amounts, currencies, times, codes and versions. A user id is a pseudonym, which
stays after an erasure, because late refunds and disputes must still find their payment.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, get_args, get_type_hints

from tuition.core import audit, recorded_facts, recorded_plan_facts, timestamps
from tuition.core import payment as payments
from tuition.core.facts import Facts
from tuition.core.payment import Payment
from tuition.core.plan_terms import PlanTerms

RECORD_YEARS = 8
"""An audit record is locked to 31 December of this year after the write."""
FINAL_FORM_YEARS = 7
"""A final form is locked to 31 December of this year after the closing."""
TEMPORARY_DAYS = 1
"""The lock of both in every environment but production, so that the environment can be removed."""
FINAL_FORM_SCHEMA_VERSION = 1
MAX_OBJECT_BYTES = 16 * 1024 * 1024
"""Of an object as it is stored. A batch of the stream has at most 6 MB, also without compression."""
MAX_CONTENT_BYTES = 64 * 1024 * 1024
"""Of an object without compression."""
MAX_RECORDS = 100_000
"""Of an object. A batch of the stream has at most 500 records."""
MAX_LINE_BYTES = 4 * 1024 * 1024
"""Of a record or final form. An item of DynamoDB has at most 400 KB."""
ID_LENGTH = 32
"""Hex digits of the hash in the name of an object with records."""


class Each(NamedTuple):
    """An object of a JSON value whose names are ids, such as those of Stripe's objects. Each value has this shape."""

    shape: Any


VALUE = None
"""The shape of a text, a number, a boolean, null, or a list of these."""


def _facts() -> Mapping[str, Any]:
    """Return the shape of facts as records have them (`recorded_facts`)."""
    shape: dict[str, Any] = {name: Each({}) for name in recorded_facts.DECLARED[Facts].keys_only}
    for name, hint in get_type_hints(Facts).items():
        if name in recorded_facts.DECLARED[Facts].recorded:
            kinds = [kind for kind in (hint, *get_args(hint)) if kind in recorded_facts.DECLARED]
            one = dict.fromkeys(recorded_facts.DECLARED[kinds[0]].recorded, VALUE) if kinds else VALUE
            shape[name] = Each(one) if name in recorded_facts.MAPS else one
    return shape


FACTS = _facts()
"""The recorded part of a payment's facts: no receipt, card, customer, message, note or unreadable value.

In a record they are a JSON merge patch, in which null removes a fact or an entry.
Source: https://www.rfc-editor.org/rfc/rfc7396
"""

PLAN_FACTS: Mapping[str, Any] = {
    name: Each(dict.fromkeys(names, VALUE) if names else VALUE) if name in recorded_plan_facts.MAPS else VALUE
    for name, names in recorded_plan_facts.RECORDED.items()
}
"""The recorded part of a plan's facts: no payment method and no note."""

_CHANGE = {"from": VALUE, "to": VALUE}
TRANSITION: Mapping[str, Any] = {
    "status": _CHANGE,
    "enrollment": _CHANGE,
    "enrollments": Each(_CHANGE),
    "plan": {
        **dict.fromkeys(("id", "from", "to", "attempt", "created_at", "membership", "closed", "ends_on"), VALUE),
        "needs_student": _CHANGE,
        "terms": {field.name: VALUE for field in fields(PlanTerms)},
    },
    "installments": VALUE,
    "announced": dict.fromkeys(("installment", "day", "amount"), VALUE),
    "try_failed": dict.fromkeys(("installment", "payment", "amount", "code"), VALUE),
    "settled": VALUE,
    "refunded": VALUE,
    "lost": VALUE,
    "refund_requests": Each({**_CHANGE, "amount": VALUE, "made_by": VALUE}),
    "refunds": Each({**_CHANGE, "amount": VALUE, "request": VALUE, "failure": VALUE}),
    "disputes": Each({**_CHANGE, "amount": VALUE, "reason": VALUE, "due_by": VALUE, "lost": VALUE}),
    "declines": Each(VALUE),
    "withdrawal": {"at": VALUE, "refund_due_by": VALUE},
    "fee": {"fee": VALUE, "net": VALUE, "currency": VALUE},
    "failure": VALUE,
    "closed": VALUE,
    "access_ended": VALUE,
    "currency": VALUE,
    "payment": {
        **dict.fromkeys(("created_at", "attempt", "stripe_object_id", "price", "list_amount", "method"), VALUE),
        **dict.fromkeys(("settled_at", "declines"), VALUE),
    },
    "attention": VALUE,
    # of the chains of users, staff and the switches
    "purchases": _CHANGE,
    "legal_hold": _CHANGE,
    "erasure": _CHANGE,
    "selling": _CHANGE,
    "collecting": _CHANGE,
    "export": {
        **dict.fromkeys(("kind", "month", "status", "track", "refunded", "attention", "disputed", "from"), VALUE),
        **dict.fromkeys(("to", "amount_min", "amount_max", "currency", "refund_request", "method", "failure"), VALUE),
        **dict.fromkeys(("searched", "user", "plan_kind", "due_from", "due_to"), VALUE),
    },
    "note": {"id": VALUE, "payment": VALUE},
    "evidence": {"dispute": VALUE, "payment": VALUE, "characters": VALUE},
    "tags": {"added": VALUE, "removed": VALUE, "payment": VALUE},
    "read": {"users": VALUE},
    "replay": VALUE,
    "discard": VALUE,
}
RECORD: Mapping[str, Any] = {
    **dict.fromkeys(("subject", "seq", "at", "event_id", "type", "source", "actor", "user_id", "track"), VALUE),
    **dict.fromkeys(("previous", "schema_version", "hash"), VALUE),
    "transition": TRANSITION,
    "facts": {**PLAN_FACTS, **FACTS},
}
"""An audit record as `tuition.core.audit` hashes it, with its hash."""

FINAL_FORM: Mapping[str, Any] = {
    **dict.fromkeys(("schema_version", "payment_id", "user_id", "track", "kind", "attempt", "version"), VALUE),
    **dict.fromkeys(("audit_head", "status", "created_at", "closed_at", "amount", "currency"), VALUE),
    "price": {"amount": VALUE, "currency": VALUE},
    **dict.fromkeys(("list_amount", "first_purchase", "stripe_payment_intent", "stripe_checkout_session"), VALUE),
    **dict.fromkeys(("stripe_charge_id", "refund_amount", "lost_amount", "refunded_at"), VALUE),
    "facts": FACTS,
    "refund_requests": Each(
        dict.fromkeys(("amount", "at", "state", "tries", "made_by", "decided_by", "refund"), VALUE)
    ),
}


def undeclared(shape: Any, value: Any, path: str = "") -> list[str]:
    """Return the paths of the attributes of a value that its shape does not declare, sorted."""
    return sorted(_undeclared(shape, value, path))


def _undeclared(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape is VALUE:
        if any(isinstance(part, (dict, list)) for part in (value if isinstance(value, list) else [value])):
            yield path
        return
    if value is not None and not isinstance(value, Mapping):
        yield path
        return
    for name, part in (value or {}).items():
        if isinstance(shape, Each) and recorded_facts.is_id(name):
            yield from _undeclared(shape.shape, part, f"{path}.*")
        elif isinstance(shape, Each):
            yield f"{path}.*"
        elif name in shape:
            yield from _undeclared(shape[name], part, f"{path}.{name}")
        else:
            yield f"{path}.{name}"


def declared(shape: Any, value: Any) -> Any:
    """Return a value without the attributes that its shape does not declare: `{}` where it has a text instead."""
    if shape is VALUE or value is None:
        return value
    if not isinstance(value, Mapping):
        return {}
    if isinstance(shape, Each):
        return {name: declared(shape.shape, part) for name, part in value.items()}
    return {name: declared(shape[name], part) for name, part in value.items() if name in shape}


def is_closed(payment: Payment) -> bool:
    """Whether nothing more is under way for a payment: only a new act of a person changes it.

    It is neither open nor waiting for its bank, its refunds, its disputes or a check of its object at Stripe. A refund
    request that awaits approval keeps no payment open. A payment may close several times, because a late refund or
    dispute opens it again.
    """
    return payments.is_final(payment)


def final_form(payment: Payment) -> dict[str, Any]:
    """Return what the archive has of a payment at the version that closed it."""
    requests = {
        request.id: {**request.to_json(), "made_by": "student" if request.by == payment.user_id else "school"}
        for request in payment.requests
    }
    form: dict[str, Any] = {
        "schema_version": FINAL_FORM_SCHEMA_VERSION,
        "closed_at": payment.updated_at,
        "price": {"amount": payment.price.amount, "currency": payment.price.currency},
        "list_amount": payment.terms.list_amount or None,
        **recorded_facts.coded(_stripe_ids(payment)),
        "lost_amount": payments.lost_amount(payment.facts),
        "facts": recorded_facts.reduced(payment.facts),
        "refund_requests": requests,
    }
    for name in FINAL_FORM:
        if name not in form:
            form[name] = getattr(payment, name)
    form = {name: value for name, value in form.items() if value is not None}
    result: dict[str, Any] = declared(FINAL_FORM, form)
    return result


def _stripe_ids(payment: Payment) -> dict[str, str | None]:
    """Return the ids of a payment's objects at Stripe. A locked object has `unknown` for one that does not look so."""
    return {
        "stripe_payment_intent": payment.intent,
        "stripe_checkout_session": payment.stripe_checkout_session,
        "stripe_charge_id": payment.stripe_charge_id,
    }


def canonical(value: Mapping[str, Any]) -> str:
    """Return a value as JSON with sorted keys and no spaces, as `audit.digest` hashes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def content(values: Iterable[Mapping[str, Any]]) -> bytes:
    """Return values as compressed JSON Lines. The same values always have the same bytes."""
    return gzip.compress("".join(f"{canonical(value)}\n" for value in values).encode(), mtime=0)


def lines(body: bytes) -> list[dict[str, Any]]:
    """Return the values of an object's content. Raises `ValueError` or `zlib.error` for other content."""
    return list(each_line(body))


def each_line(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the values of an object's content, so that only one of them is in memory.

    A forged object of 60 KB can contain 20 million values. Raises `ValueError` or `zlib.error` for content that is not
    that of an object of the archive, also behind the first values.
    """
    content = decompressed(body)
    start = number = 0
    while start < len(content):
        end = content.find(b"\n", start) + 1 or len(content)
        number += 1
        if end - start > MAX_LINE_BYTES or number > MAX_RECORDS:
            raise ValueError("the object has a line that is too long, or too many of them")
        yield json.loads(content[start:end])
        start = end


def decompressed(body: bytes) -> bytes:
    """Return the content of a gzip file with one member. Raises `ValueError` if it is larger than `MAX_CONTENT_BYTES`.

    Only a forged object is: a batch of the stream has at most 6 MB. A few MB can contain gigabytes.
    """
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = unpacker.decompress(body, MAX_CONTENT_BYTES)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the object is too large, is cut off, or has more than one part")
    return content


def has_own_hash(record: Mapping[str, Any]) -> bool:
    """Whether the hash of a record, as the archive has it, is that of its other attributes."""
    body = {name: value for name, value in record.items() if name != "hash"}
    return audit.digest(body) == record.get("hash")


def records_key(records: Iterable[Mapping[str, Any]], at: str) -> str:
    """Return the object key of records that are written at this time: a retry within the hour has the same one."""
    ids = "".join(f"{record['subject']}\n{record['seq']}\n{record['hash']}\n" for record in records)
    return f"{_folder('records', at)}-{hashlib.sha256(ids.encode()).hexdigest()[:ID_LENGTH]}.jsonl.gz"


def final_form_key(form: Mapping[str, Any], at: str) -> str:
    """Return the object key of a final form that is written at this time."""
    return f"{_folder('final', at)}-{form['payment_id']}-v{form['version']}.json.gz"


def _folder(kind: str, at: str) -> str:
    return f"{kind}/dt={at[:10]}/{at[11:13]}"


def locked_until(at: str, years: int, *, for_years: bool) -> str:
    """Return the end of the lock of content of this time: the end of a year, or a day later. Both are RFC 3339 UTC."""
    if not for_years:
        return f"{timestamps.day_after(at[:10], TEMPORARY_DAYS)}{at[10:]}"
    return f"{int(at[:4]) + years}-12-31T23:59:59.000Z"
