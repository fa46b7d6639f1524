"""Signing in on Cognito's hosted page, which a browser route imitates, including the checks of PKCE."""

import base64
import hashlib
import json
import time
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
    """Cognito's authorize, token and logout endpoints."""

    def __init__(self, student: Student) -> None:
        self.student = student
        self.authorize_params: dict[str, str] = {}
        self.nonce: str | None = None
        self.state: str | None = None
        self.tokens_issued = 0
        self.seconds = 3600
        student.context.route(f"{DOMAIN}/oauth2/authorize?*", self._authorize)
        student.context.route(f"{DOMAIN}/oauth2/token", self._token)
        student.context.route(f"{DOMAIN}/logout?*", self._logout)

    def _authorize(self, route: Route) -> None:
        self.authorize_params = {
            name: values[0] for name, values in parse_qs(urlsplit(route.request.url).query).items()
        }
        params = {"code": "the-code", "state": self.state or self.authorize_params["state"]}
        route.fulfill(status=302, headers={"location": f"{self.authorize_params['redirect_uri']}?{urlencode(params)}"})

    def _token(self, route: Route) -> None:
        form = {name: values[0] for name, values in parse_qs(route.request.post_data or "").items()}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        verified = (form["code"], form["client_id"], challenge) == (
            "the-code",
            CLIENT,
            self.authorize_params["code_challenge"],
        )
        headers = {"access-control-allow-origin": "*"}
        if not verified or form["grant_type"] != "authorization_code":
            route.fulfill(status=400, json={"error": "invalid_grant"}, headers=headers)
            return
        self.tokens_issued += 1
        route.fulfill(json={"id_token": self._id_token(), "token_type": "Bearer"}, headers=headers)

    def _id_token(self) -> str:
        """A token with the nonce among its claims. The API rejects it, because it is not signed by its issuer."""
        claims = json.loads(base64.urlsafe_b64decode(self.student.token.split(".")[1] + "=="))
        claims |= {"nonce": self.nonce or self.authorize_params["nonce"], "exp": int(time.time()) + self.seconds}
        body = json.dumps(claims).encode()
        return f"e30.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.sig"

    def _logout(self, route: Route) -> None:
        params = parse_qs(urlsplit(route.request.url).query)
        assert params["client_id"] == [CLIENT]
        route.fulfill(status=302, headers={"location": params["logout_uri"][0]})


@contextmanager
def hosted_page(student: Student) -> Iterator[HostedPage]:
    """Serve the same pages with a `config.json` and a content policy as in production."""
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
    with hosted_page(student) as page:
        yield page


def test_the_hosted_sign_in_leads_back_to_the_requested_view(student: Student, hosted: HostedPage) -> None:
    student.expected_errors.append("status of 401 ")  # the API rejects this test's unsigned token
    student.open("#/buy/FSD")
    student.expect_heading("Sign in")
    student.expect_accessible()
    student.page.route(f"{DOMAIN}/signup?*", lambda route: route.fulfill(body="New users"))
    student.main.get_by_role("button", name="Create an account").click()
    student.page.wait_for_url(f"{DOMAIN}/signup?*")
    student.page.go_back()
    with student.page.expect_response(f"{DOMAIN}/oauth2/token"):
        student.main.get_by_role("button", name="Sign in").click()
    student.page.wait_for_url("**/#/buy/FSD")
    student.expect_text("Your session has expired. Sign in to continue where you left off.")
    assert hosted.tokens_issued == 1
    assert hosted.authorize_params["code_challenge_method"] == "S256"
    assert set(hosted.authorize_params["scope"].split()) == {"openid", "email", "profile"}
    assert "code" not in student.page.url and "state" not in student.page.url


def test_a_late_refusal_of_an_old_token_keeps_the_user_signed_in(student: Student) -> None:
    """The browser reports each refusal as an error. The page sends each refused request again with the new token."""
    student.expected_errors.append("status of 401 ")
    student.open("#/nowhere")
    student.page.evaluate("token => sessionStorage.setItem('tuition.token', token + 'x')", student.token)

    def sign_in_again_and_continue(route: Route) -> None:
        student.page.evaluate("token => sessionStorage.setItem('tuition.token', token)", student.token)
        route.continue_()

    student.page.route("**/api/**", sign_in_again_and_continue)
    student.open("#/payments")
    student.expect_text("No payments yet.")
    assert student.page.evaluate("sessionStorage.getItem('tuition.token')") == student.token


def test_a_session_is_renewed_on_the_page_and_ends_by_signing_out(student: Student, hosted: HostedPage) -> None:
    student.expected_errors.append("preloaded using link preload but not used")  # the renewal shows no tracks
    student.open("#/nowhere")
    student.page.locator("#who").get_by_role("link", name="Sign in").click()
    student.page.get_by_role("link", name="Tracks", exact=True).click()
    student.expect_heading("Choose your track")
    student.page.go_back()
    hosted.seconds = 240
    student.main.get_by_role("button", name="Sign in").click()
    warning = student.page.get_by_role("alert")
    expect(warning).to_contain_text("Your session expires at")
    student.expect_accessible()
    hosted.seconds = 3600
    with student.context.expect_page():
        warning.get_by_role("button", name="Stay signed in").click()
    expect(warning).to_be_hidden()
    expect(student.page.locator("#live")).to_have_text("You stay signed in.")
    student.expect_heading("Page not found")
    assert (hosted.tokens_issued, len(student.context.pages)) == (2, 1)
    student.page.get_by_role("button", name="Sign out", exact=True).click()
    expect(student.page.locator("#who").get_by_role("link", name="Sign in")).to_be_visible()
    assert student.page.evaluate("sessionStorage.length") == 0


def test_a_sign_in_that_this_tab_did_not_start_is_rejected(student: Student, hosted: HostedPage) -> None:
    hosted.state = "of-another-browser"
    student.open("#/cards")
    student.main.get_by_role("button", name="Sign in").click()
    student.expect_text("That sign-in link is no longer valid. Please sign in again.")
    assert hosted.tokens_issued == 0
    hosted.state, hosted.nonce = None, "of-another-sign-in"
    student.main.get_by_role("link", name="Sign in").click()
    assert student.page.url.endswith("#/sign-in/cards")
    student.main.get_by_role("button", name="Sign in").click()
    student.expect_text("That sign-in link is no longer valid. Please sign in again.")
    assert student.page.evaluate("sessionStorage.getItem('tuition.token')") is None


def test_the_next_user_of_a_browser_sees_nothing_of_the_previous_user(student: Student) -> None:
    student.open_payment_form()
    student.pay("4000000000000002")
    student.expect_text("Your card was declined.")
    student.page.get_by_role("button", name="Sign out", exact=True).click()
    student.expect_heading("Choose your track")
    expect(student.page.locator("#who").get_by_role("link", name="Sign in")).to_be_visible()
    student.sub += "-sister"
    student.open_payment_form()
    expect(student.main.get_by_text("It hasn’t been completed")).to_have_count(0)
    student.open("#/payments")
    student.expect_text("No payments yet.")
    assert student.payments() == []
