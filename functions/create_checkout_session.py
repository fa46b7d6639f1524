"""POST /api/payments/create-checkout-session: return the user's open payment for a track, to be paid at Stripe."""

from tuition.api import Reply, Request, endpoint, flag_field, text_field, url_field
from tuition.core import catalog
from tuition.payments import checkout
from tuition.payments.checkout import Buyer
from tuition.stripe_gateway import client as stripe_client

stripe_client.load()


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
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
        code=text_field(body, "promotion_code", max_length=500),
        agreed_version=text_field(body, "terms", max_length=40),
    )
    return Reply(201 if offer.new else 200, offer.to_json())
