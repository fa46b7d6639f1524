"""The words by which staff find a payment: those of its address, its last four digits, and its amount.

All three are words of one kind, so `4242` finds a card, an amount and an address alike. A text must be as
`tuition.core.texts.caseless` writes it.
"""

from tuition.core.money import Money

MAX_WORDS = 20
"""Of one address, the first ones. An address of 254 characters could have 127."""
MAX_WORD_LENGTH = 64
MAX_QUERY_WORDS = 6
SEPARATORS = "@._+-"


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of an address, or of a part of one, each once."""
    for separator in SEPARATORS:
        text = text.replace(separator, " ")
    return tuple(dict.fromkeys(word[:MAX_WORD_LENGTH] for word in text.split()))


def amount_word(decimal: str) -> str:
    """Return the word of an amount in the major unit: `499` for `499.00`, `499.5` for `499.50`."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal


def words(address: str, last4: str | None, amount: Money) -> frozenset[str]:
    """Return all words of a payment. `amount` is what was received, and the price until then."""
    own = words_of(address)[:MAX_WORDS]
    return frozenset({*own, amount_word(amount.decimal), *({last4} if last4 else ())})
