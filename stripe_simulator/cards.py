"""Test cards and test bank accounts, and how each behaves.

https://docs.stripe.com/testing
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Behavior:
    """The outcome of a payment with a test method, and of what follows it."""

    decline: str | None = None  # a key of MESSAGES
    authenticate: str | None = None  # when 3-D Secure is required: see `must_authenticate`
    attaches: bool = True  # whether a declined card can be attached to a customer
    dispute: str | None = None  # the reason of the dispute that follows the payment
    inquiry: bool = False  # whether that dispute is an inquiry
    fraud_warning: bool = False  # whether an early fraud warning follows the payment
    refund: str = "succeeded"  # "pending": succeeds later; "failed": succeeds, then fails
    cvc_check: str = "pass"  # the result of the check of a CVC that the customer enters
    line1_check: str = "pass"  # the same of the first line of an address
    postal_code_check: str = "pass"  # the same of a postal code
    risk_level: str = "normal"  # Radar's estimate: "normal" or "elevated"
    instant_funds: bool = False  # whether the funds are available at once
    settles: str | None = None  # for a delayed method: "succeeded", a failure code, or "never" (then it is cancelable)


@dataclass(frozen=True)
class Card:
    """A test card."""

    number: str
    funding: str = "credit"
    country: str = "US"
    behavior: Behavior = Behavior()

    @property
    def brand(self) -> str:
        """The brand that the leading digits belong to, or "unknown"."""
        return BRANDS.get(self.number[:2]) or BRANDS.get(self.number[:1]) or "unknown"


BRANDS = {  # by the leading digits of the card number; two digits take precedence over one
    "2": "mastercard",
    "30": "diners",
    "34": "amex",
    "35": "jcb",
    "36": "diners",
    "37": "amex",
    "38": "diners",
    "4": "visa",
    "5": "mastercard",
    "6": "discover",
    "62": "unionpay",
}


def _declines(code: str, *, attaches: bool = False) -> Behavior:
    return Behavior(decline=code, attaches=attaches)


CARDS: dict[str, Card] = {
    "visa": Card("4242424242424242"),
    "visa_debit": Card("4000056655665556", funding="debit"),
    "mastercard": Card("5555555555554444"),
    "mastercard_debit": Card("5200828282828210", funding="debit"),
    "mastercard_prepaid": Card("5105105105105100", funding="prepaid"),
    "amex": Card("378282246310005"),
    "discover": Card("6011111111111117"),
    "diners": Card("3056930009020004"),
    "jcb": Card("3566002020360505"),
    "unionpay": Card("6200000000000005"),
    "bypassPending": Card("4000000000000077", behavior=Behavior(instant_funds=True)),
    "bypassPendingInternational": Card("4000003720000278", country="IE", behavior=Behavior(instant_funds=True)),
    "visa_chargeDeclined": Card("4000000000000002", behavior=_declines("generic_decline")),
    "visa_chargeDeclinedInsufficientFunds": Card("4000000000009995", behavior=_declines("insufficient_funds")),
    "visa_chargeDeclinedLostCard": Card("4000000000009987", behavior=_declines("lost_card")),
    "visa_chargeDeclinedStolenCard": Card("4000000000009979", behavior=_declines("stolen_card")),
    "chargeDeclinedExpiredCard": Card("4000000000000069", behavior=_declines("expired_card")),
    "chargeDeclinedIncorrectCvc": Card(
        "4000000000000127", behavior=Behavior(decline="incorrect_cvc", attaches=False, cvc_check="fail")
    ),
    "chargeDeclinedProcessingError": Card("4000000000000119", behavior=_declines("processing_error")),
    "visa_chargeDeclinedVelocityLimitExceeded": Card("4000000000006975", behavior=_declines("card_velocity_exceeded")),
    "chargeDeclinedFraudulent": Card("4100000000000019", behavior=_declines("fraudulent")),
    "radarBlock": Card("4100000000000019", behavior=_declines("fraudulent")),
    "riskLevelHighest": Card("4000000000004954", behavior=_declines("fraudulent")),
    "riskLevelElevated": Card("4000000000009235", behavior=Behavior(risk_level="elevated")),
    "cvcCheckFail": Card("4000000000000101", behavior=Behavior(cvc_check="fail")),
    "avsZipFail": Card("4000000000000036", behavior=Behavior(postal_code_check="fail")),
    "cvcCheckFailElevatedRisk": Card("4000058400307872", behavior=Behavior(cvc_check="fail", risk_level="elevated")),
    "avsZipFailElevatedRisk": Card(
        "4000058400306072", behavior=Behavior(postal_code_check="fail", risk_level="elevated")
    ),
    "avsLine1Fail": Card("4000000000000028", behavior=Behavior(line1_check="fail")),
    "avsFail": Card("4000000000000010", behavior=Behavior(line1_check="fail", postal_code_check="fail")),
    "avsUnchecked": Card(
        "4000000000000044", behavior=Behavior(line1_check="unavailable", postal_code_check="unavailable")
    ),
    "chargeCustomerFail": Card("4000000000000341", behavior=_declines("generic_decline", attaches=True)),
    "authenticationRequired": Card("4000002760003184", behavior=Behavior(authenticate="always")),
    "authenticationRequiredOnSetup": Card(
        "4000002500003155", behavior=Behavior(authenticate="on_session_or_unless_setup")
    ),
    "authenticationRequiredSetupForOffSession": Card("4000003800000446", behavior=Behavior(authenticate="on_session")),
    "threeDSecureOptional": Card("4000000000003055"),
    "threeDSecureOptionalProcessingError": Card("4000000000003097"),  # only an attempt at 3-D Secure fails
    "threeDSecureRequiredProcessingError": Card(
        "4000008400001280", behavior=_declines("generic_decline", attaches=True)
    ),
    "threeDSecure2Required": Card("4000000000003220", behavior=Behavior(authenticate="always")),
    "threeDSecureRequired": Card("4000000000003063", behavior=Behavior(authenticate="always")),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "4000008260003178", behavior=Behavior(authenticate="unless_setup", decline="insufficient_funds")
    ),
    "threeDSecureRequiredChargeDeclined": Card(
        "4000008400001629", behavior=Behavior(authenticate="always", decline="generic_decline")
    ),
    "createDispute": Card("4000000000000259", behavior=Behavior(dispute="fraudulent")),
    "createDisputeProductNotReceived": Card("4000000000002685", behavior=Behavior(dispute="product_not_received")),
    "createDisputeInquiry": Card("4000000000001976", behavior=Behavior(dispute="fraudulent", inquiry=True)),
    "createIssuerFraudRecord": Card("4000000000005423", behavior=Behavior(fraud_warning=True)),
    "pendingRefund": Card("4000000000007726", behavior=Behavior(refund="pending")),
    "refundFail": Card("4000000000005126", behavior=Behavior(refund="failed")),
}
# fmt: off
COUNTRIES = {  # https://docs.stripe.com/testing#international-cards
    "br": "4000000760000002", "ca": "4000001240000000", "mx": "4000004840008001", "gb": "4000008260000000",
    "de": "4000002760000016", "fr": "4000002500000003", "at": "4000000400000008", "be": "4000000560000004",
    "ch": "4000007560000009", "dk": "4000002080000001", "es": "4000007240000007", "fi": "4000002460000001",
    "ie": "4000003720000005", "it": "4000003800000008", "nl": "4000005280000002", "no": "4000005780000007",
    "pl": "4000006160000005", "pt": "4000006200000007", "se": "4000007520000008", "au": "4000000360000006",
    "jp": "4000003920000003", "hk": "4000003440000004", "sg": "4000007020000003", "in": "4000003560000008",
    "nz": "4000005540000008", "ar": "4000000320000021", "cl": "4000001520000001", "co": "4000001700000003",
    "cr": "4000001880000005", "ec": "4000002180000000", "pa": "4000005910000000", "py": "4000006000000066",
    "pe": "4000006040000068", "uy": "4000008580000003", "ae": "4000007840000001", "bg": "4000001000000000",
    "by": "4000001120000005", "hr": "4000001910000009", "cy": "4000001960000008", "cz": "4000002030000002",
    "ee": "4000002330000009", "gi": "4000002920000005", "gr": "4000003000000030", "hu": "4000003480000005",
    "lv": "4000004280000005", "li": "4000004380000004", "lt": "4000004400000000", "lu": "4000004420000006",
    "mt": "4000004700000007", "ro": "4000006420000001", "sa": "4000006820000007", "si": "4000007050000006",
    "sk": "4000007030000001", "cn": "4000001560000002", "my": "4000004580000002", "tw": "4000001580000008",
    "th_credit": "4000007640000003",
}
# fmt: on
CARDS |= {name: Card(number, country=name[:2].upper()) for name, number in COUNTRIES.items()}
ALIASES = {  # other names for the same cards in Stripe's list
    "chargeDeclined": "visa_chargeDeclined",
    "chargeDeclinedInsufficientFunds": "visa_chargeDeclinedInsufficientFunds",
    "chargeDeclinedLostCard": "visa_chargeDeclinedLostCard",
    "chargeDeclinedStolenCard": "visa_chargeDeclinedStolenCard",
    "visa_chargeDeclinedExpiredCard": "chargeDeclinedExpiredCard",
    "visa_chargeDeclinedIncorrectCvc": "chargeDeclinedIncorrectCvc",
    "visa_chargeDeclinedProcessingError": "chargeDeclinedProcessingError",
    "visa_chargeDeclinedFraudulent": "chargeDeclinedFraudulent",
    "chargeDeclinedVelocityLimitExceeded": "visa_chargeDeclinedVelocityLimitExceeded",
    "us": "visa",
    "amex_threeDSecureNotSupported": "amex",
}
PLAIN_CARDS = [  # https://docs.stripe.com/testing#cards: cards that succeed and have no name of a method here
    *(Card(number) for number in ("4012888888881881", "2223003122003222", "371449635398431", "6011000990139424")),
    *(Card(number) for number in ("36227206271667", "30569309025904", "38520000023237", "6555900000604105")),
    *(Card(number) for number in ("3530111333300000", "6205500000000000004", "4000000000000093")),
    *(Card(number, funding="debit") for number in ("6011981111111113", "6200000000000047")),
    *(Card(number, country="FR") for number in ("4000002500001001", "5555552500001001")),
    *(Card(number, country="AU") for number in ("4000050360000001", "5555050360000080")),
    *(Card(number, country="GB") for number in ("4000058260000005", "5555558265554449")),
    Card("5200007840000022", country="AE"),
    Card("4000057640000008", funding="debit", country="TH"),
]
UNSUPPORTED = {  # https://docs.stripe.com/testing#disputes: a payment with one is refused by name
    "4000000404000079": "several disputes of one payment",
    "4000000404000038": "a dispute that is eligible for Compelling Evidence 3.0",
    "4000008400000779": "a compliance dispute",
}
BY_NUMBER = {card.number: card for card in PLAIN_CARDS} | {card.number: card for card in reversed(CARDS.values())}

# https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test-account-numbers
BANKS: dict[str, Behavior] = {  # us_bank_account, by the suffix of pm_usBankAccount_…
    "success": Behavior(settles="succeeded"),
    "accountClosed": Behavior(settles="account_closed"),
    "noAccount": Behavior(settles="no_account"),
    "insufficientFunds": Behavior(settles="insufficient_funds"),
    "debitNotAuthorized": Behavior(settles="debit_not_authorized"),
    "invalidCurrency": Behavior(settles="invalid_currency"),
    "weeklyLimitExceeded": Behavior(settles="charge_exceeds_source_limit"),
    "dispute": Behavior(settles="succeeded", dispute="insufficient_funds"),
    "processing": Behavior(settles="never"),
}
BANK_NUMBERS = {
    "000123456789": "success",
    "000111111113": "accountClosed",
    "000111111116": "noAccount",
    "000222222227": "insufficientFunds",
    "000333333335": "debitNotAuthorized",
    "000444444440": "invalidCurrency",
    "000777777771": "weeklyLimitExceeded",
    "000555555559": "dispute",
    "000000000009": "processing",
}
IBANS = {  # https://docs.stripe.com/payments/sepa-debit/accept-a-payment#test-integration
    "AT611904300234573201": Behavior(settles="succeeded"),
    "AT321904300235473204": Behavior(settles="succeeded"),
    "AT861904300235473202": Behavior(settles="generic_decline"),
    "AT051904300235473205": Behavior(settles="generic_decline"),
    "AT591904300235473203": Behavior(settles="succeeded", dispute="fraudulent"),
    "DE89370400440532013000": Behavior(settles="succeeded"),
    "IT40S0542811101000000123456": Behavior(settles="succeeded"),
    "IT60X0542811101000000123456": Behavior(settles="generic_decline"),
}

# decline code -> (error code, message). https://docs.stripe.com/declines/codes
MESSAGES: dict[str, tuple[str, str]] = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "stolen_card": ("card_declined", "Your card was declined."),
    "fraudulent": ("card_declined", "Your card was declined."),
    "card_velocity_exceeded": (
        "card_declined",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "test_mode_live_card": (
        "card_declined",
        "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid "
        "test cards, visit: https://stripe.com/docs/testing.",
    ),
    "authentication_required": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
    "authentication_not_handled": (
        "authentication_required",
        "This payment required an authentication action to complete, but `error_on_requires_action` was set. When "
        "you're ready, you can upgrade your integration to handle actions at "
        "https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions.",
    ),
    "transaction_not_allowed": ("card_declined", "Your card does not support this type of purchase."),
    "card_not_supported": ("card_declined", "Your card is not supported."),
    "currency_not_supported": ("card_declined", "Your card does not support this currency."),
}
MESSAGES |= dict.fromkeys(
    (
        *("approve_with_id", "call_issuer", "do_not_honor", "duplicate_transaction", "invalid_account"),
        *("invalid_amount", "issuer_not_available", "new_account_information_available", "no_action_taken"),
        *("not_permitted", "pickup_card", "reenter_transaction", "restricted_card"),
        *("revocation_of_all_authorizations", "revocation_of_authorization", "security_violation"),
        *("service_not_allowed", "stop_payment_order", "withdrawal_count_limit_exceeded"),
    ),
    ("card_declined", "Your card was declined."),
)

RETRY, STOP, CONFIRM = "try_again_later", "do_not_try_again", "confirm_card_data"
# decline code -> (advice, code of the network). Stripe lists no advice by code: that of a generic decline is captured,
# the rest is from memory, and the codes of the network are those of ISO 8583. A decline that is not here has neither.
# https://docs.stripe.com/declines/card#retrying-issuer-declines
ADVICE: dict[str, tuple[str, str | None]] = {
    "generic_decline": (RETRY, "01"),
    "approve_with_id": (RETRY, "01"),
    "call_issuer": (RETRY, "01"),
    "card_velocity_exceeded": (RETRY, "65"),
    "do_not_honor": (RETRY, "05"),
    "insufficient_funds": (RETRY, "51"),
    "issuer_not_available": (RETRY, "91"),
    "processing_error": (RETRY, None),
    "reenter_transaction": (RETRY, "19"),
    "withdrawal_count_limit_exceeded": (RETRY, "65"),
    "card_not_supported": (STOP, "57"),
    "currency_not_supported": (STOP, "57"),
    "lost_card": (STOP, "41"),
    "not_permitted": (STOP, "57"),
    "pickup_card": (STOP, "04"),
    "restricted_card": (STOP, "62"),
    "revocation_of_all_authorizations": (STOP, "R1"),
    "revocation_of_authorization": (STOP, "R0"),
    "security_violation": (STOP, "63"),
    "service_not_allowed": (STOP, "57"),
    "stolen_card": (STOP, "43"),
    "stop_payment_order": (STOP, "R0"),
    "transaction_not_allowed": (STOP, "57"),
    "expired_card": (CONFIRM, "54"),
    "incorrect_cvc": (CONFIRM, "N7"),
    "invalid_account": (CONFIRM, "14"),
    "new_account_information_available": (CONFIRM, None),
}
MASTERCARD_ADVICE = {CONFIRM: "01", RETRY: "02", STOP: "03"}
"""The Merchant Advice Codes of Mastercard. The other networks give no code of advice."""


def decline_codes(reason: str, brand: str) -> dict[str, str | None]:
    """Return the codes of a decline that say whether to try again: Stripe's advice, and both codes of the network."""
    advice, network_code = ADVICE.get(reason, (None, None))
    network_advice = MASTERCARD_ADVICE[advice] if advice and network_code and brand == "mastercard" else None
    return {"advice_code": advice, "network_advice_code": network_advice, "network_decline_code": network_code}


# The behavior of one attempt, which `POST /_sim/payment_methods/{id}` sets: see README.md.
OK, REQUIRES_ACTION, PROCESSING = "ok", "requires_action", "processing"
CARD_STEPS = (
    OK,
    REQUIRES_ACTION,
    *(code for code in MESSAGES if code not in ("test_mode_live_card", "authentication_not_handled")),
)
DEBIT_STEPS = (
    *(OK, PROCESSING, "account_closed", "charge_exceeds_source_limit", "debit_not_authorized", "generic_decline"),
    *("insufficient_funds", "invalid_currency", "no_account"),
)


def after_step(behavior: Behavior, step: str) -> Behavior:
    """Return the behavior of an attempt with a step in place of what the method usually does."""
    if behavior.settles is not None:
        outcome = {OK: "succeeded", PROCESSING: "never"}.get(step, step)
        return replace(behavior, settles=outcome)
    authenticate = "always" if step == REQUIRES_ACTION else None
    decline = None if step in (OK, REQUIRES_ACTION) else step
    return replace(behavior, authenticate=authenticate, decline=decline, attaches=False)


# reason -> the code of the ACH network. Stripe lists both, and not which belong together (m).
# https://docs.stripe.com/payments/ach-direct-debit/blocked-bank-accounts
BLOCKS: dict[str, str | None] = {
    "bank_account_closed": "R02",
    "bank_account_frozen": "R16",
    "bank_account_invalid_details": "R03",
    "bank_account_restricted": "R20",
    "bank_account_unusable": None,
    "debit_not_authorized": "R10",
    "tokenized_account_number_deactivated": None,
}
BLOCKED_AFTER = {"account_closed": "bank_account_closed", "no_account": "bank_account_invalid_details"}
"""The failures of a US bank debit after which Stripe blocks the account, with the reason of the block."""
BLOCKED_CODE = "bank_account_unusable"
BLOCKED_MESSAGE = "This bank account is blocked and cannot be debited. Please use a different bank account."


def must_authenticate(behavior: Behavior, *, is_set_up: bool, off_session: bool) -> bool:
    """Return whether a payment with a card requires 3-D Secure. `is_set_up` is whether it was set up off session."""
    conditions = {
        "always": True,
        "on_session": not off_session,
        "on_session_or_unless_setup": not off_session or not is_set_up,
        "unless_setup": not is_set_up,
    }
    return conditions.get(behavior.authenticate or "", False)


def luhn(number: str) -> bool:
    """Return whether the number's check digit is valid."""
    total = 0
    for index, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def find_card(number: str) -> Card:
    """Return the test card with a number. A payment with a number that is not Stripe's is declined."""
    return BY_NUMBER.get(number) or Card(number, behavior=_declines("test_mode_live_card"))
