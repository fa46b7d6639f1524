"""/api/plans/…: a student's payment plans. Begin one, read it, pay it, or choose its payment method.

`request_refund` ends them.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from tuition.api import Identity, Reply, Request, endpoint, text_field, url_field
from tuition.core.errors import CodeNotAccepted, Unprocessable
from tuition.core.plan_decisions import What
from tuition.payments import plan_payments, plans
from tuition.payments.checkout import Buyer
from tuition.payments.plans import Urls
from tuition.stripe_gateway import client as stripe_client
from tuition.views import plan_json
from tuition.views import plans as views

stripe_client.load()
MAX_CODE_LENGTH = 40
"""Of the code of an offer or a membership, and of the version of a text, in characters."""


@endpoint
def handler(request: Request) -> Reply:
    return ROUTES[request.route](request, request.identity())


def _list(request: Request, identity: Identity) -> Reply:
    query = request.query("limit", "cursor")
    return Reply(200, views.plans(identity.user_id, request.limit(query), query.get("cursor")))


def _read(request: Request, identity: Identity) -> Reply:
    return Reply(200, views.plan(request.path("plan_id"), identity.user_id))


def _statement(request: Request, identity: Identity) -> Reply:
    return Reply(200, views.statement(request.path("plan_id"), identity.user_id))


def _begin(request: Request, identity: Identity) -> Reply:
    body = request.json(
        *("track", "membership", "offer", "consent", "via", "payment_method", "terms"),
        *("success_url", "cancel_url", "promotion_code"),
    )
    if body.get("promotion_code") is not None:
        raise CodeNotAccepted("A payment plan takes no promotion code. Pay the full price with it.", "promotion_code")
    if ("track" in body) == ("membership" in body):
        raise Unprocessable("Send either track or membership.", field="track")
    via = _choice(body, "via", ("page", "checkout"), default="page")
    method = text_field(body, "payment_method", max_length=255)
    if method and via == "checkout":
        raise Unprocessable("payment_method is for the page. Stripe's Checkout asks for one.", field="payment_method")
    urls = _urls(body)
    opened = plans.begin(
        Buyer(identity.user_id, identity.buyer_email()),
        track=body.get("track"),
        membership=text_field(body, "membership", max_length=MAX_CODE_LENGTH, required="membership" in body),
        offer=text_field(body, "offer", max_length=MAX_CODE_LENGTH, required=True) or "",
        consent=text_field(body, "consent", max_length=MAX_CODE_LENGTH, required=True) or "",
        kind="checkout" if via == "checkout" else "intent",
        urls=urls if via == "checkout" else Urls(),
        payment_method=method,
        agreed_version=text_field(body, "terms", max_length=MAX_CODE_LENGTH),
    )
    return Reply(201 if opened.new else 200, plan_json.begun_json(opened))


def _urls(body: Mapping[str, Any]) -> Urls:
    success = url_field(body, "success_url", "/?payment=success&session_id={CHECKOUT_SESSION_ID}")
    return Urls(success, url_field(body, "cancel_url", "/?payment=canceled"))


def _pay(request: Request, identity: Identity) -> Reply:
    what = _choice(request.json("what"), "what", ("next", "due", "rest"))
    opened = plan_payments.pay(request.path("plan_id"), identity.user_id, identity.buyer_email(), cast(What, what))
    return Reply(201 if opened.new else 200, plan_json.paid_json(opened))


def _method(request: Request, identity: Identity) -> Reply:
    plan_id = request.path("plan_id")
    method = text_field(request.json("payment_method"), "payment_method", max_length=255)
    if method is None:
        return Reply(201, plans.begin_method(plan_id, identity.user_id)._asdict())
    state = plans.choose_method(plan_id, identity.user_id, method)
    return Reply(200, plan_json.student_json(state.existing_plan))


def _begin_track(request: Request, identity: Identity) -> Reply:
    track = request.json("track").get("track")
    state, is_new = plans.begin_track(request.path("plan_id"), identity.user_id, track)
    return Reply(201 if is_new else 200, plan_json.student_json(state.existing_plan))


def _choice(body: Mapping[str, Any], name: str, values: tuple[str, ...], default: str | None = None) -> str:
    """Return a value of a few. Raises `Unprocessable`."""
    value = body.get(name, default)
    if value not in values:
        raise Unprocessable(f"{name} must be {' or '.join(values)}", field=name)
    return str(value)


ROUTES: Mapping[str, Callable[[Request, Identity], Reply]] = {
    "GET /api/plans": _list,
    "POST /api/plans": _begin,
    "GET /api/plans/{plan_id}": _read,
    "POST /api/plans/{plan_id}/pay": _pay,
    "POST /api/plans/{plan_id}/payment-method": _method,
    "POST /api/plans/{plan_id}/tracks": _begin_track,
    "GET /api/plans/{plan_id}/statement": _statement,
}
