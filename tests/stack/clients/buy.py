"""Buy a track with a Python client that openapi-python-client made: python buy.py API TOKEN STRIPE SECRET_KEY."""

import sys
import time

import httpx
from tuition_client import AuthenticatedClient
from tuition_client.api.students import create_payment, get_payment_status, list_tracks
from tuition_client.models import (
    CreatePaymentRequest,
    CreatePaymentRequestTrack,
    OpenedPayment,
    Payment,
    PaymentStatus,
    Tracks,
)

api, token, stripe, key = sys.argv[1:]
client = AuthenticatedClient(base_url=api, token=token)

tracks = list_tracks.sync(client=client)
assert isinstance(tracks, Tracks)
track = next(each for each in tracks.tracks if each.track == "DP")

order = CreatePaymentRequest(track=CreatePaymentRequestTrack(track.track))
created = create_payment.sync(client=client, body=order)
assert isinstance(created, OpenedPayment), created

# A browser confirms the payment with Stripe.js and the client secret. Here it is done at the simulator.
confirm = f"{stripe}/v1/payment_intents/{created.payment_intent_id}/confirm"
httpx.post(confirm, data={"payment_method": "pm_card_visa"}, auth=(key, "")).raise_for_status()


def settled_payment(payment_intent_id: str) -> Payment:
    """Read the payment until Stripe's event has arrived, which takes seconds."""
    for _ in range(30):
        payment = get_payment_status.sync(payment_intent_id, client=client)
        assert isinstance(payment, Payment), payment
        if payment.status is PaymentStatus.SUCCEEDED:
            return payment
        time.sleep(1)
    raise SystemExit("the payment has not settled")


payment = settled_payment(created.payment_intent_id)
print(payment.status, payment.amount == track.amount, payment.currency)

again = create_payment.sync_detailed(client=client, body=order)
print(again.status_code.value, getattr(again.parsed, "type_", "no problem"))
