"""The search table: one item per word of a payment, and one per payment that says which words it has there.

An item of a word leads to the payment. `refresh` reads the payment's own item first and the payment second, and writes
on the version of the first. The version rises each time, also if no word changes. So a writer that read an older state
of the payment loses, in whatever order events arrive: after an erasure, no late event brings a word back. The item of a
payment stays when the payment is deleted, without words, for the same reason.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from collections.abc import Iterator

from tuition import retry
from tuition.core import search, texts
from tuition.core.errors import Contended
from tuition.core.money import Money
from tuition.core.payment import Payment
from tuition.storage import dynamodb, keys, mapping, queries
from tuition.storage.dynamodb import Item, StorageRefused, TransactionCanceled
from tuition.storage.items import SearchItem

PAGE = 100
"""Items of a page that a rebuild reads."""
_LOST = {"ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def words_of(payment: Payment) -> frozenset[str]:
    """Return the words by which a payment is found now. One whose data were erased has its amount alone."""
    method = payment.payment_method or {}
    last4 = method.get("last4")
    address = texts.caseless(payment.email or "")
    return search.words(address, str(last4) if last4 else None, Money(payment.amount, payment.currency))


def refresh(payment_id: str) -> None:
    """Store the words that a payment has now, and no others; none if it is missing. Raises `Contended`."""
    for _ in retry.attempts(retry.SEARCH):
        raw = dynamodb.get(SearchItem, keys.search_key(keys.searched_payment(payment_id), keys.WORDS))
        stored = SearchItem.from_raw_data(raw) if raw else None
        items = queries.payments_by_id([payment_id])
        payment = mapping.payment_from_item(items[0]) if items else None
        try:
            dynamodb.call("transact_write_items", TransactItems=_changes(payment_id, stored, payment))
        except TransactionCanceled as canceled:
            if not {reason["Code"] for reason in canceled.reasons} & _LOST:
                raise StorageRefused("The words of a payment could not be stored.") from canceled
            continue
        return
    raise Contended("The words of a payment are being changed by others. Try again.")


def _changes(payment_id: str, stored: SearchItem | None, payment: Payment | None) -> list[Item]:
    """Return the writes that bring the table from what is stored to the words of a payment as it is."""
    position = mapping.listed_at(payment) if payment else None
    after = words_of(payment) if payment else frozenset()
    before = frozenset(stored.words or ()) if stored else frozenset()
    version = int(stored.version) if stored else 0
    kept = before & after if stored and stored.position == position else frozenset()
    own = SearchItem(
        keys.searched_payment(payment_id), keys.WORDS, words=set(after) or None, position=position, version=version + 1
    )
    table = dynamodb.table_name(SearchItem)
    writes = [dynamodb.put_of_version(own, version)]
    writes += [{"Delete": {"TableName": table, "Key": key}} for key in _keys(payment_id, before - kept, stored)]
    words = [SearchItem(keys.searched_word(word, payment_id), str(position)) for word in sorted(after - kept)]
    return writes + [{"Put": {"TableName": table, "Item": dynamodb.to_raw(word)}} for word in words]


def _keys(payment_id: str, words: frozenset[str], stored: SearchItem | None) -> Iterator[Item]:
    """Yield the keys of words that are stored for a payment."""
    for word in sorted(words):
        yield keys.search_key(keys.searched_word(word, payment_id), str(stored.position if stored else None))


def stored_words(payment_ids: list[str]) -> dict[str, list[str]]:
    """Return the words that are stored for these payments, at most 100. Payments without any are left out."""
    item_keys = [keys.search_key(keys.searched_payment(payment_id), keys.WORDS) for payment_id in payment_ids]
    items = map(SearchItem.from_raw_data, dynamodb.batch_get({SearchItem: item_keys})[SearchItem])
    return {keys.payment_of_search(item.word): sorted(item.words) for item in items if item.words}


def page_of_payments(start: Item | None) -> tuple[list[str], Item | None]:
    """Return the payments whose words are among one page of the table, and the key of the next page; None at the end.

    Only a rebuild scans the table: it finds the words of payments that a restore of other tables has lost.
    """
    page = dynamodb.scan_page(SearchItem, limit=PAGE, start=start)
    items = [SearchItem.from_raw_data(raw) for raw in page.items]
    return [keys.payment_of_search(item.word) for item in items if item.listed_at == keys.WORDS], page.last_key
