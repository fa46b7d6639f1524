"""Small shops that take payments as Stripe's documentation tells them to, and the page of their customers.

Each shop is a server of its own, with the official `stripe` package, and fulfills on signed webhooks:

- `AcceptPayment`: https://docs.stripe.com/payments/accept-a-payment
- `Checkout`: https://docs.stripe.com/checkout/fulfillment
- `SaveCard`: https://docs.stripe.com/payments/save-and-reuse
- `PlaceHold`: https://docs.stripe.com/payments/place-a-hold-on-a-payment-method, where the server confirms as in
  https://docs.stripe.com/payments/accept-a-payment-synchronously
"""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlencode

import stripe

from stripe_simulator.server import Simulator

Body = dict[str, Any]
WEBHOOK_SECRET = "whsec_samples"
PRICE, CURRENCY = 1999, "usd"
CARD = "4242424242424242"
TIMEOUT_S = 30


class Shop:
    """The server of a shop: `POST /name` calls the method of that name with the JSON of its body."""

    routes: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.client: stripe.StripeClient
        self.fulfilled: list[str] = []
        self.events: list[str] = []
        self.lock = threading.Lock()
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = shop.answer(self.path.strip("/"), body, self.headers.get("Stripe-Signature"))
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing, to keep the tests' output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def connect(self, simulator: Simulator) -> None:
        """Use the simulator as Stripe."""
        self.client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})

    def stop(self) -> None:
        """Stop the server."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, name: str, body: bytes, signature: str | None) -> tuple[int, Any]:
        """Answer a request: 400 for a webhook with a wrong signature, 402 with the message of a decline."""
        if name == "webhook":
            try:
                event = stripe.Webhook.construct_event(body, signature or "", WEBHOOK_SECRET)
            except stripe.SignatureVerificationError:
                return 400, {}
            self.on_event(event)
            self.events.append(event.type)
            return 200, {}
        if name not in self.routes:
            return 404, {}
        method: Callable[[Body], Body] = getattr(self, name)
        try:
            return 200, method(json.loads(body))
        except stripe.CardError as error:
            return 402, {"message": error.user_message, "code": error.code}

    def on_event(self, event: stripe.Event) -> None:
        """React to an event of Stripe."""


class AcceptPayment(Shop):
    """Accepts a payment on its own page, and fulfills the order when the payment has succeeded."""

    routes = ("create_intent",)

    def create_intent(self, body: Body) -> Body:
        """Return the secret with which the page confirms the payment. The amount never comes from the page."""
        intent = self.client.v1.payment_intents.create(
            {"amount": PRICE, "currency": CURRENCY, "automatic_payment_methods": {"enabled": True}}
        )
        return {"client_secret": intent.client_secret}

    def on_event(self, event: stripe.Event) -> None:
        """Fulfill a paid order."""
        if event.type == "payment_intent.succeeded":
            self.fulfilled.append(event.data.object["id"])


class Checkout(Shop):
    """Sends its customers to Stripe's page, and fulfills once, on the webhook or on the customer's return."""

    routes = ("create_session", "return_page")

    def create_session(self, body: Body) -> Body:
        """Return the address of Stripe's page."""
        product = {"currency": CURRENCY, "unit_amount": PRICE, "product_data": {"name": "Course"}}
        session = self.client.v1.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [{"price_data": product, "quantity": body.get("quantity", 1)}],  # type: ignore[typeddict-item]
                "success_url": f"{self.url}/thanks?session_id={{CHECKOUT_SESSION_ID}}",
                "cancel_url": f"{self.url}/cart",
            }
        )
        return {"url": session.url}

    def return_page(self, body: Body) -> Body:
        """Return what the customer sees after the payment."""
        self.fulfill(body["session_id"])
        session = self.client.v1.checkout.sessions.retrieve(body["session_id"])
        return {"status": session.status, "payment_status": session.payment_status}

    def fulfill(self, id: str) -> None:
        """Fulfill a session that is paid, at most once."""
        session = self.client.v1.checkout.sessions.retrieve(id, {"expand": ["line_items"]})
        assert session.line_items is not None and session.line_items.data[0].description == "Course"
        with self.lock:  # the webhook and the customer's return may come at the same time
            if session.payment_status != "unpaid" and id not in self.fulfilled:
                self.fulfilled.append(id)

    def on_event(self, event: stripe.Event) -> None:
        """Fulfill a session that is complete, or whose delayed payment has succeeded."""
        if event.type in ("checkout.session.completed", "checkout.session.async_payment_succeeded"):
            self.fulfill(event.data.object["id"])


class SaveCard(Shop):
    """Saves a card without a payment, and charges it later while the customer is away."""

    routes = ("create_setup", "charge")

    def create_setup(self, body: Body) -> Body:
        """Create a customer, and return the secret with which the page saves the card."""
        customer = self.client.v1.customers.create({"email": body["email"]})
        setup = self.client.v1.setup_intents.create({"customer": customer.id, "usage": "off_session"})
        return {"customer": customer.id, "client_secret": setup.client_secret}

    def charge(self, body: Body) -> Body:
        """Charge the saved card. Raises CardError if the bank declines, or asks for the customer."""
        methods = self.client.v1.payment_methods.list({"customer": body["customer"], "type": "card"})
        intent = self.client.v1.payment_intents.create(
            {
                "amount": PRICE,
                "currency": CURRENCY,
                "customer": body["customer"],
                "payment_method": methods.data[0].id,
                "off_session": True,
                "confirm": True,
            }
        )
        return {"status": intent.status}

    def on_event(self, event: stripe.Event) -> None:
        """Make the saved card the customer's default."""
        if event.type == "setup_intent.succeeded":
            setup = event.data.object
            self.client.v1.customers.update(
                setup["customer"], {"invoice_settings": {"default_payment_method": setup["payment_method"]}}
            )
            self.fulfilled.append(setup["id"])


class PlaceHold(Shop):
    """Holds an amount on a card, and captures a part of it or releases it. The server confirms."""

    routes = ("confirm", "capture", "cancel")

    def confirm(self, body: Body) -> Body:
        """Confirm with a payment method, or again after the customer has authenticated."""
        intents = self.client.v1.payment_intents
        if "payment_intent" in body:
            intent = intents.confirm(body["payment_intent"])
        else:
            intent = intents.create(
                {
                    "amount": PRICE,
                    "currency": CURRENCY,
                    "payment_method": body["payment_method"],
                    "capture_method": "manual",
                    "confirmation_method": "manual",
                    "confirm": True,
                    "use_stripe_sdk": True,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                }
            )
        return {"status": intent.status, "payment_intent": intent.id, "client_secret": intent.client_secret}

    def capture(self, body: Body) -> Body:
        """Capture a part of the amount."""
        amount = {"amount_to_capture": body["amount"]}
        intent = self.client.v1.payment_intents.capture(body["payment_intent"], amount)  # type: ignore[arg-type]
        return {"status": intent.status, "amount_received": intent.amount_received}

    def cancel(self, body: Body) -> Body:
        """Release the amount."""
        intent = self.client.v1.payment_intents.cancel(body["payment_intent"])
        return {"status": intent.status, "amount_capturable": intent.amount_capturable}

    def on_event(self, event: stripe.Event) -> None:
        """Remember the amount that is held."""
        if event.type == "payment_intent.amount_capturable_updated":
            self.fulfilled.append(event.data.object["id"])


class Page:
    """The page of a customer: the calls of Stripe.js with the publishable key, Stripe's own pages, and the bank."""

    def __init__(self, shop: Shop, simulator: Simulator) -> None:
        self.shop = shop
        self.simulator = simulator

    def post(self, name: str, **body: Any) -> tuple[int, Body]:
        """Call the shop's server, and return the status and the answer."""
        return _send(f"{self.shop.url}/{name}", json.dumps(body).encode(), {})

    def stripe_js(self, path: str, **params: Any) -> Body:
        """Make a call of Stripe.js, and return its answer or its error."""
        headers = {"Authorization": f"Bearer {self.simulator.publishable_key}"}
        return _send(f"{self.simulator.url}/v1/{path}", urlencode(params).encode(), headers)[1]

    def create_payment_method(self, number: str = CARD) -> str:
        """Create a payment method from the fields of the form, and return its id."""
        card = {"card[number]": number, "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": "123"}
        return str(self.stripe_js("payment_methods", type="card", **card)["id"])

    def confirm(self, kind: str, client_secret: str, number: str = CARD) -> Body:
        """Confirm an intent of a kind (`payment_intents`, `setup_intents`) with a card."""
        id = client_secret.partition("_secret_")[0]
        method = self.create_payment_method(number)
        params = {"client_secret": client_secret, "payment_method": method, "return_url": f"{self.shop.url}/done"}
        return self.stripe_js(f"{kind}/{id}/confirm", **params)

    def authenticate(self, kind: str, id: str, outcome: str = "success") -> Body:
        """Answer the bank's question."""
        url = f"{self.simulator.url}/_sim/{kind}/{id}/authenticate"
        return _send(url, json.dumps({"outcome": outcome}).encode())[1]

    def pay_on_stripes_page(self, url: str, number: str = CARD) -> str:
        """Fill in the form of Checkout, and return the address to which it leads, or the text of the page."""
        form = {"email": "ada@example.com", "number": number, "expiry": "12 / 40", "cvc": "123"}
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(url, urlencode(form).encode(), timeout=TIMEOUT_S) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as redirect:
            return str(redirect.headers["Location"])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """Leave the redirect to the caller."""


def _send(url: str, data: bytes, headers: dict[str, str] | None = None) -> tuple[int, Body]:
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
