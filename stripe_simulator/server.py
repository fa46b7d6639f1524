"""The simulator's entry points: `Stripe` without a socket, `start()` for a simulator on a port."""

from pathlib import Path

from stripe_simulator import addresses, state_file
from stripe_simulator.api import Stripe
from stripe_simulator.http_server import Simulator
from stripe_simulator.resources.webhook_endpoints import configure

__all__ = ["Simulator", "Stripe", "start"]


def start(
    port: int = 0,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    seed: int | None = None,
    secret_key: str | None = None,
    publishable_key: str | None = None,
    data: Path | None = None,
    public_host: str | None = None,
    disorder: int | None = None,
    host: str = addresses.LOOPBACK,
    public_url: str | None = None,
) -> Simulator:
    """Start a simulator in its own threads. A webhook URL gets an endpoint of the default account.

    With `data`, read the state from that file now, and write it back every few seconds and in `stop()`.
    Besides this machine, pages of `public_host` may use the control API. `disorder` is the seed of `--disorder`.
    Any `host` but loopback lets other machines in. `public_url` begins the URLs of objects.
    Raises OSError for an unusable address, port or file, and `state_file.StateFileError`. An invalid webhook URL is a
    StripeError, and an invalid public URL a ValueError.
    """
    public_url = public_url and addresses.public_url(public_url)
    state = (state_file.read(data) if data else None) or {}
    default = state["accounts"][0] if state else {}
    stripe = Stripe(
        seed=seed,
        secret_key=secret_key or default.get("secret_key"),
        publishable_key=publishable_key or default.get("publishable_key"),
        admin_key=state.get("admin_key"),
        disorder=disorder,
    )
    if data and state:
        state_file.load(stripe.accounts, state, data)
    secret = None
    if webhook_url is not None:
        secret = configure(stripe.account, webhook_url, webhook_secret)["_secrets"][0]
    return Simulator(stripe, port, secret, data, public_host, host, public_url)
