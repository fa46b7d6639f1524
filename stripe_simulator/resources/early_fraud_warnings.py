"""Early fraud warnings: a card's issuer says that a charge may be fraudulent. No money moves.

https://docs.stripe.com/api/radar/early_fraud_warnings
https://docs.stripe.com/disputes/measuring#early-fraud-warnings
"""

from stripe_simulator import lists
from stripe_simulator.account import Account, Call
from stripe_simulator.resources import payment_methods
from stripe_simulator.store import Object, public_fields

KIND = "radar.early_fraud_warning"
FRAUD_TYPES = (
    "card_never_received",
    "fraudulent_card_application",
    "made_with_counterfeit_card",
    "made_with_lost_card",
    "made_with_stolen_card",
    "misc",
    "unauthorized_use_of_card",
)


def warn(account: Account, charge: Object, fraud_type: str = "misc") -> Object:
    """Create a warning about a charge. It is actionable while the charge is neither disputed nor fully refunded."""
    warning: Object = {
        "id": f"issfr_1{account.store.token(23)}",
        "object": KIND,
        "actionable": not (charge["disputed"] or charge["refunded"]),
        "charge": charge["id"],
        "created": account.clock.unix(),
        "fraud_type": fraud_type,
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }
    account.store.add(warning)
    account.emit("radar.early_fraud_warning.created", warning)
    return warning


def on_success(account: Account, _intent: Object, charge: Object) -> None:
    """Create a warning at once if the payment used the test card that causes one."""
    if payment_methods.behavior_of(charge["_test"]).fraud_warning:
        warn(account, charge)


def retrieve(call: Call) -> Object:
    """GET /v1/radar/early_fraud_warnings/:id."""
    return public_fields(call.store.get(KIND, call.ids[0]))


def list_(call: Call) -> Object:
    """GET /v1/radar/early_fraud_warnings?charge&payment_intent&created."""
    warnings = lists.select(call.store.all(KIND), call.params, "charge", "payment_intent")
    return lists.page(warnings, call.params, call.path, KIND)


ROUTES = {
    "GET /v1/radar/early_fraud_warnings": list_,
    "GET /v1/radar/early_fraud_warnings/*": retrieve,
}
