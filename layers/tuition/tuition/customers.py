"""The one Stripe customer of a user: made once, kept with the first payment, replaced when Stripe forgot it."""

from tuition import stripe_client
from tuition.core.errors import StripeRefused, StripeUnavailable
from tuition.ledger import Customer
from tuition.ownership import APP
from tuition.settings import settings

GENERATIONS = 8


def create(user_id: str, email: str, generation: int) -> Customer:
    """A customer at Stripe of this generation or the next that can be had.

    The key is made of user and generation: who comes twice gets the same one. A replayed answer is read again,
    since the customer may be gone; one that is, a replayed 5xx and a key used with another address (the user's
    e-mail changed) take the next generation.
    """
    for candidate in range(generation, generation + GENERATIONS):
        try:
            answer = stripe_client.create_customer(_params(user_id, email), _key(user_id, candidate))
            if answer.replayed:
                answer = stripe_client.retrieve_customer(answer.object["id"])
        except StripeRefused as refused:
            if refused.stripe_type != "idempotency_error" and refused.code != "resource_missing":
                raise
        except StripeUnavailable as unavailable:
            if not unavailable.replayed:
                raise
        else:
            if not answer.object.get("deleted"):
                return Customer(user_id, answer.object["id"], candidate)
    raise StripeUnavailable("no customer could be made at Stripe: try again", 502)


def _params(user_id: str, email: str) -> dict[str, object]:
    metadata = {"app": APP, "environment": settings().tuition_environment, "user_id": user_id}
    return {"email": email, "metadata": metadata}


def _key(user_id: str, generation: int) -> str:
    return f"customer:{settings().tuition_environment}:{user_id}:{generation}"
