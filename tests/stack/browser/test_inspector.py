"""The simulator's inspector in a browser: narrow and wide, light and dark, without a violation that axe finds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import stripe
from playwright.sync_api import Browser, Page, expect

from stripe_simulator.server import Simulator, start
from tests.stack.browser.screens import WCAG, axe_violations

INTENT: dict[str, Any] = {
    "amount": 49900,
    "currency": "usd",
    "description": "Data Platform",
    "metadata": {"track": "DP", "note": "long" * 100},
}
CONFIRM: dict[str, Any] = {"payment_method": "pm_card_visa", "return_url": "https://example.com/"}
SCREENS: dict[str, tuple[int, Literal["light", "dark"]]] = {"narrow": (320, "dark"), "wide": (1200, "light")}

DARK_PAGES = ("overview", "object", "request")
"""The pages that together have every color. The dark scheme changes only colors, so it needs one rule of axe."""


@pytest.fixture(scope="module", autouse=True)
def _check_invariants() -> None:
    """Nothing is bought here, so the running stack is not needed."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A simulator with a payment, a refund, a failed delivery, a refused request and a second account."""
    simulator = start(webhook_url="http://127.0.0.1:9/closed", seed=4)
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url}, max_network_retries=0)
    customer = client.v1.customers.create({"name": "Ada Lovelace", "email": "ada@example.org"})
    intent = client.v1.payment_intents.create({**INTENT, "customer": customer.id})  # type: ignore[typeddict-item]
    client.v1.payment_intents.confirm(intent.id, CONFIRM)  # type: ignore[arg-type]
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 10000})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({"amount": 10, "currency": "usd"})
    other = stripe.StripeClient("sk_test_AnotherAccount123", base_addresses={"api": simulator.url})
    other.v1.customers.create({})
    yield simulator
    simulator.stop()


@pytest.fixture(params=SCREENS)
def page(request: pytest.FixtureRequest, browser: Browser, simulator: Simulator) -> Iterator[Page]:
    width, scheme = SCREENS[request.param]
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme, base_url=simulator.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert problems == []


def paths(simulator: Simulator) -> dict[str, str]:
    """Return the address of a page of each kind."""
    account = simulator.stripe.account
    intent = next(account.store.all("payment_intent"))["id"]
    refused = next(one["request_id"] for one in account.log if one["status"] == 400)
    event = next(id for id, type_ in account.webhooks.types.items() if type_ == "charge.refunded")
    return {
        "overview": "/",
        "objects": "/inspect/objects",
        "object": f"/inspect/objects/{intent}",
        "events": "/inspect/events",
        "event": f"/inspect/events/{event}",
        "requests": "/inspect/requests",
        "request": f"/inspect/requests/{refused}",
        "search": "/inspect/search?q=pi_",
        "accounts": "/inspect/accounts",
    }


def test_every_page_fits_and_is_accessible(page: Page, simulator: Simulator, screenshots: Path | None) -> None:
    problems = []
    width = page.viewport_size["width"] if page.viewport_size else 0
    for name, path in paths(simulator).items():
        page.goto(path)
        if width > 320 or name in DARK_PAGES:
            rules = WCAG if width > 320 else {"type": "rule", "values": ["color-contrast"]}
            problems += [f"{name}: {one}" for one in axe_violations(page.main_frame, rules)]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        problems += [f"{name}: {wide} pixels too wide"] if wide > 0 else []
        if screenshots:
            page.screenshot(path=screenshots / f"inspector-{name}-{width}.png")
    assert problems == []


def test_the_keyboard_searches_and_a_list_shows_a_new_request(page: Page, simulator: Simulator) -> None:
    page.goto("/inspect/requests")
    id = simulator.stripe.account.log[-1]["request_id"]
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type(id)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{simulator.url}/inspect/requests/{id}")
    page.goto("/inspect/requests")
    count = page.get_by_role("heading", level=1)
    before = len(simulator.stripe.account.log)
    expect(count).to_have_text(f"Requests{before}")
    client = stripe.StripeClient(simulator.secret_key, base_addresses={"api": simulator.url})
    client.v1.customers.create({})
    expect(count).to_have_text(f"Requests{before + 1}", timeout=30_000)
