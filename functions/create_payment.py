"""POST /api/payments/create-payment: return the user's open payment for a track, to be paid in the browser."""

from tuition.api import Reply, Request, endpoint, flag_field, text_field
from tuition.core import catalog
from tuition.payments import checkout
from tuition.payments.checkout import Buyer
from tuition.stripe_gateway import client as stripe_client

stripe_client.load()


@endpoint
def handler(request: Request) -> Reply:
    identity = request.identity()
    body = request.json("track", "save_payment_method", "payment_method", "terms")
    offer = checkout.create_payment(
        Buyer(identity.user_id, identity.buyer_email()),
        catalog.find(body.get("track")),
        save=flag_field(body, "save_payment_method"),
        payment_method=text_field(body, "payment_method", max_length=255),
        agreed_version=text_field(body, "terms", max_length=40),
    )
    return Reply(201 if offer.new else 200, offer.to_json())
