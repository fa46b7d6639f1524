"""Signing in through Cognito's hosted page, which a route of the browser plays: a code for the one who can prove it."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.stack.browser.student import Student

DOMAIN = "https://school.auth.eu-central-1.amazoncognito.com"
CLIENT = "1example23456789"


class HostedPage:
    """The authorize, token and logout endpoints, as Cognito has them."""

    def __init__(self, student: Student) -> None:
        self.student = student
        self.asked: dict[str, str] = {}
        self.nonce: str | None = None
        self.state: str | None = None
        self.tokens = 0
        student.page.route(f"{DOMAIN}/oauth2/authorize?*", self._authorize)
        student.page.route(f"{DOMAIN}/oauth2/token", self._token)
        student.page.route(f"{DOMAIN}/logout?*", self._logout)

    def _authorize(self, route: Route) -> None:
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()}
        back = {"code": "the-code", "state": self.state or self.asked["state"]}
        route.fulfill(status=302, headers={"location": f"{self.asked['redirect_uri']}?{urlencode(back)}"})

    def _token(self, route: Route) -> None:
        form = {name: values[0] for name, values in parse_qs(route.request.post_data or "").items()}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        proven = (form["code"], form["client_id"], challenge) == ("the-code", CLIENT, self.asked["code_challenge"])
        headers = {"access-control-allow-origin": "*"}
        if not proven or form["grant_type"] != "authorization_code":
            route.fulfill(status=400, json={"error": "invalid_grant"}, headers=headers)
            return
        self.tokens += 1
        route.fulfill(json={"id_token": self._signed(), "token_type": "Bearer"}, headers=headers)

    def _signed(self) -> str:
        """A token whose claims name the nonce. The API would refuse it: only its own issuer may sign."""
        claims = json.loads(base64.urlsafe_b64decode(self.student.token.split(".")[1] + "=="))
        body = json.dumps({**claims, "nonce": self.nonce or self.asked["nonce"]}).encode()
        return f"e30.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.sig"

    def _logout(self, route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        assert asked["client_id"] == [CLIENT]
        route.fulfill(status=302, headers={"location": asked["logout_uri"][0]})


@contextmanager
def hosted_page(student: Student) -> Iterator[HostedPage]:
    """The same pages with a `config.json` and a policy as in production."""
    front = student.running.stack.web_server
    assert front is not None
    local = front.site
    sign_in = {"kind": "cognito", "domain": DOMAIN, "client_id": CLIENT}
    calls = (*local.origins.calls, DOMAIN)
    front.site = replace(
        local, config={**local.config, "sign_in": sign_in}, origins=replace(local.origins, calls=calls)
    )
    try:
        yield HostedPage(student)
    finally:
        front.site = local


@pytest.fixture
def hosted(student: Student) -> Iterator[HostedPage]:
    with hosted_page(student) as found:
        yield found


def test_the_hosted_sign_in_leads_back_to_where_one_was(student: Student, hosted: HostedPage) -> None:
    student.expected.append("status of 401 ")  # the API takes no token of this test's making
    student.open("#/buy/FSD")
    student.heading("Sign in")
    student.accessible()
    with student.page.expect_response(f"{DOMAIN}/oauth2/token"):
        student.main.get_by_role("button", name="Sign in").click()
    student.page.wait_for_url("**/#/buy/FSD")
    student.sees("Your sign-in is over")
    assert hosted.tokens == 1
    assert hosted.asked["code_challenge_method"] == "S256"
    assert set(hosted.asked["scope"].split()) == {"openid", "email", "profile"}
    assert "code" not in student.page.url and "state" not in student.page.url


def test_who_signs_out_is_signed_out_of_both(student: Student, hosted: HostedPage) -> None:
    student.open("#/nowhere")
    student.page.locator("#who").get_by_role("button", name="Sign in").click()
    student.main.get_by_role("button", name="Sign in").click()
    student.page.get_by_role("button", name="Sign out").click()
    expect(student.page.locator("#who").get_by_role("button", name="Sign in")).to_be_visible()
    assert (student.page.evaluate("sessionStorage.length"), hosted.tokens) == (0, 1)


def test_an_answer_that_this_tab_did_not_ask_for_signs_nobody_in(student: Student, hosted: HostedPage) -> None:
    hosted.state = "of-somebody-else"
    student.open("#/cards")
    student.main.get_by_role("button", name="Sign in").click()
    student.sees("This sign-in was not begun here")
    assert hosted.tokens == 0
    hosted.state, hosted.nonce = None, "of-another-time"
    student.open("#/cards")
    student.main.get_by_role("button", name="Sign in").click()
    student.sees("This sign-in was not begun here")
    assert student.page.evaluate("sessionStorage.getItem('tuition.token')") is None


def test_the_next_person_at_the_same_browser_sees_nothing_of_the_one_before(student: Student) -> None:
    student.buying()
    student.pay("4000000000000002")
    student.sees("Your card was declined.")
    student.page.get_by_role("button", name="Sign out").click()
    student.heading("Choose your track")
    expect(student.page.locator("#who").get_by_role("button", name="Sign in")).to_be_visible()
    student.sub += "-sister"
    student.buying()
    expect(student.main.get_by_text("it is still open")).to_have_count(0)
    student.open("#/payments")
    student.sees("You have not paid for anything yet.")
    assert student.payments() == []
