"""Return the user's open payment for a track, to be paid at Stripe, or preview what a promotion code does for it."""

from tuition.api import Identity, Reply, Request, endpoint, flag_field, text_field, url_field
from tuition.core import catalog
from tuition.payments import checkout
from tuition.payments.checkout import Buyer
from tuition.stripe_gateway import client as stripe_client

stripe_client.load()
MAX_CODE_LENGTH = 500
"""Of a promotion code, in characters."""


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    if request.route.endswith("/preview"):
        return _preview(request, identity)
    body = request.json(
        "track", "promotion_code", "success_url", "cancel_url", "save_payment_method", "terms", "invoice"
    )
    offer = checkout.create_checkout_session(
        Buyer(identity.user_id, identity.buyer_email()),
        catalog.find(body.get("track")),
        success_url=url_field(body, "success_url", "/?payment=success&session_id={CHECKOUT_SESSION_ID}"),
        cancel_url=url_field(body, "cancel_url", "/?payment=canceled"),
        save=flag_field(body, "save_payment_method"),
        invoice=flag_field(body, "invoice"),
        code=text_field(body, "promotion_code", max_length=MAX_CODE_LENGTH),
        agreed_version=text_field(body, "terms", max_length=40),
    )
    return Reply(201 if offer.new else 200, offer.to_json())


def _preview(request: Request, identity: Identity) -> Reply:
    body = request.json("track", "promotion_code")
    track = catalog.find(body.get("track"))
    text = text_field(body, "promotion_code", max_length=MAX_CODE_LENGTH, required=True) or ""
    code = checkout.preview_code(Buyer(identity.user_id, identity.buyer_email()), track, text)
    price = track.price
    return Reply(
        200,
        {
            "track": track.track,
            "promotion_code": code.text,
            "currency": price.currency,
            "list_amount": price.amount,
            "discount": code.discount,
            "amount": price.amount - code.discount,
        },
    )
