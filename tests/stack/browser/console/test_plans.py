"""The life of a payment plan with staff: found, moved, waived, charged and closed, with what each dialog says."""

import csv
import io
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Route, expect

from tests.stack.browser.console.staff import Staff
from tests.stack.test_plans import started

ACCESS_AND_MONEY = "No money moves. The student keeps access."


def confirm(staff: Staff, button: str, reason: str = "agreed by phone") -> None:
    """Give a reason in the dialog, confirm it, and expect the focus on the page's result."""
    staff.dialog.get_by_label("Reason").fill(reason)
    staff.dialog.get_by_role("button", name=button, exact=True).click()
    expect(staff.dialog).to_have_count(0)
    expect(staff.main.get_by_role("status").first).to_be_focused()


def installment(staff: Staff, number: int) -> Locator:
    return staff.main.get_by_role("row").filter(has=staff.page.get_by_role("rowheader", name=str(number), exact=True))


AHEAD = {
    "pause": "Nothing is announced or charged until staff resume the plan.",
    "revoke": "Nothing is announced or charged while access is revoked.",
}
"""The next events of a plan, as its page says them, after a decision that another one takes back."""
SUMS = "2 plans: 274.50 USD received, 0.00 USD refunded, 823.50 USD outstanding."
RULES = (
    "A charge is announced 7 days before its day, and tried again 3, 7, and 12 days later. If it stays unpaid, access"
    " ends after 14 days, and the plan is closed after 60 days."
)


def test_plans_are_paused_at_once_and_one_is_moved_waived_revoked_and_closed_with_all_money_back(
    staff: Staff, sub: str
) -> None:
    staff.expected_errors.append(r"status of 409 ")
    token = staff.running.token(sub)
    plan, other = (started(staff.running, token, track) for track in ("DP", "FSD"))
    _export(staff, {plan["plan_id"], other["plan_id"]})
    staff.open("#/plans")
    staff.main.get_by_role("searchbox", name="Find").fill(f"{sub}@example.org")
    staff.page.keyboard.press("Enter")
    staff.expect_rows(2)
    staff.main.get_by_role("button", name="Count and sum").click()
    staff.expect_text(SUMS)
    _pause_both_although_one_changes(staff, plan, other)

    staff.main.get_by_role("link", name=re.compile("DP, 4x")).click()
    staff.expect_heading("499.00 USD for DP")
    staff.expect_text(AHEAD["pause"])
    staff.expect_text(RULES)
    staff.open_dialog("Resume…")
    confirm(staff, "Resume")
    expect(staff.main.get_by_text(AHEAD["pause"])).to_have_count(0)

    latest = next(one for one in _details(staff, plan)["actions"] if one["seq"] == 2 and one["latest"])["latest"]
    installment(staff, 2).get_by_role("button", name="Move…").click()
    expect(staff.dialog).to_contain_text(ACCESS_AND_MONEY)
    staff.dialog.get_by_label("New due day").fill(latest)
    confirm(staff, "Move installment 2")
    expect(installment(staff, 2)).to_contain_text(latest)

    installment(staff, 4).get_by_role("button", name="Waive…").click()
    expect(staff.dialog).to_contain_text(ACCESS_AND_MONEY)
    staff.expect_accessible()
    confirm(staff, "Waive installment 4")
    expect(installment(staff, 4)).to_contain_text("Waived")

    for name, count in (("Revoke access", 1), ("Restore access", 0)):
        staff.open_dialog(f"{name}…")
        expect(staff.dialog).to_contain_text("No money moves.")
        confirm(staff, name)
        expect(staff.main.get_by_text(AHEAD["revoke"])).to_have_count(count)

    staff.page.route(f"**/api/admin/plans/{plan['plan_id']}", _can_be_charged)
    staff.page.reload()
    staff.open_dialog("Charge now…")
    expect(staff.dialog).to_contain_text("124.75 USD for installment 2 is charged")
    staff.dialog.get_by_role("button", name="Charge now").click()
    expect(staff.dialog.get_by_role("alert")).to_contain_text("The student has not had notice of this charge yet")
    staff.dialog.get_by_role("button", name="Cancel").click()
    staff.page.unroute_all(behavior="wait")

    staff.open_dialog("Close…")
    staff.dialog.get_by_label("Money").select_option("all")
    expect(staff.dialog).to_contain_text("124.75 USD goes back to the student within a quarter of an hour.")
    expect(staff.dialog).to_contain_text("The student loses access.")
    confirm(staff, "Close")
    expect(staff.main.get_by_role("button", name="Close…")).to_have_count(0)
    shown = _details(staff, plan)
    assert (shown["plan"]["status"], shown["plan"]["grants_access"]) == ("REFUNDED", False)
    taken = ["pause", "resume", "reschedule", "waive", "revoke", "restore", "close"]
    assert [one["decision"] for one in shown["facts"]["decisions"]] == taken
    assert staff.running.enrollment(token)["status"] == "WITHDRAWN"
    _continue_after_a_refund_and_forgive_the_rest(staff, other)
    staff.open(f"#/users/{sub}")
    expect(staff.main.get_by_role("region", name="Timeline")).to_contain_text("Plan paused · DP, 4x")
    staff.open_payment(plan["payment_id"])
    staff.main.get_by_role("button", name="Why no access?").click()
    staff.expect_text("The plan is “Paused”: record 2 of the plan")
    staff.main.get_by_role("link", name="Installment 1 of a payment plan").click()
    staff.expect_text("Plan closed")


def _export(staff: Staff, plan_ids: set[str]) -> None:
    """Export the plans of installments, and download the forecast, which the page has computed."""
    staff.open("#/plans?kind=installments")
    staff.main.get_by_role("link", name="Export all as CSV").click()
    staff.expect_text("Exports every payment plan that matches, one per row.")
    staff.expect_text("Kind: installments")
    staff.page.get_by_role("button", name="Export CSV").click()
    expect(staff.main.get_by_text(re.compile(r"^Export ready: [\d,]+ plans"))).to_be_visible(timeout=60_000)
    staff.expect_accessible()
    rows = _download(staff, "Download CSV")
    assert plan_ids <= {row["plan_id"] for row in rows}
    assert {row["kind"] for row in rows} == {"installments"}
    staff.open("#/forecast")
    table = staff.main.get_by_role("table").locator("tbody tr")
    expect(table.first).to_be_visible()
    expect(table).to_have_count(len(_download(staff, "CSV of the forecast")))
    staff.expect_accessible()


def _download(staff: Staff, name: str) -> list[dict[str, str]]:
    with staff.page.expect_download() as download:
        staff.main.get_by_role("link", name=name).click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))


def _pause_both_although_one_changes(staff: Staff, plan: dict[str, Any], other: dict[str, Any]) -> None:
    """Pause both plans of the list at once. A colleague decides about the other one after the dialog has read it."""
    decide = staff.main.get_by_role("button", name="Decide about selected…")
    decide.click()
    staff.expect_text("Select at least one row first.")
    staff.main.get_by_label("Select all rows shown").check()
    staff.expect_text("2 selected")
    decide.click()
    expect(staff.dialog.get_by_role("listitem")).to_have_count(2)
    expect(staff.dialog).to_contain_text(ACCESS_AND_MONEY)
    order = {"decision": "waive", "seq": 4, "version": _details(staff, other)["plan"]["version"], "note": "a gift"}
    path = f"/api/admin/plans/{other['plan_id']}/decisions"
    assert staff.running.api("POST", path, staff.running.ready["admin_token"], json=order).status_code == 200
    staff.dialog.get_by_label("Reason").fill("the school is closed")
    staff.expect_accessible()
    staff.dialog.get_by_role("button", name="Pause (2 plans)").click()
    expect(staff.dialog.get_by_role("status")).to_contain_text("1 of 2 done, 1 failed.")
    expect(staff.dialog).to_contain_text("This plan has changed since you read it.")
    expect(staff.dialog).to_contain_text("The plan is “Paused”.")
    staff.dialog.get_by_role("button", name="Close").click()
    expect(staff.main.get_by_role("status").first).to_contain_text("1 of 2 done, 1 failed.")
    expect(staff.main.get_by_text(SUMS)).to_have_count(0)  # they can be others now
    assert [_details(staff, one)["plan"]["status"] for one in (plan, other)] == ["PAUSED", "ACTIVE"]
    staff.main.get_by_label("Decision about the selected plans").select_option("resume")
    staff.main.get_by_label("Select all rows shown").check()
    decide.click()
    expect(staff.dialog).to_contain_text("1 of the selected plans can’t be decided like this")
    expect(staff.dialog.get_by_role("listitem")).to_have_count(1)
    staff.dialog.get_by_role("button", name="Cancel").click()


def _continue_after_a_refund_and_forgive_the_rest(staff: Staff, plan: dict[str, Any]) -> None:
    """Decide about a plan whose first payment was refunded in Stripe's dashboard. Installment 4 is waived."""
    staff.running.stripe("POST", "/v1/refunds", payment_intent=plan["payment_intent_id"])
    staff.running.until(lambda: _details(staff, plan)["plan"]["stopped_by"] == "refund", "the refund stops the plan")
    staff.open(f"#/plans/{plan['plan_id']}")
    staff.expect_text("has a refund that no decision explains")
    staff.expect_text("Nothing is announced or charged until staff continue or close the plan after the refund.")
    for name, effects in (
        (
            "Continue after the refund",
            "Refunded installments are not charged again. No money moves. The student gets access."
            " The plan is then “Active”, with 299.50 USD outstanding.",
        ),
        (
            "Forgive the rest",
            "The student owes nothing more, and the plan is complete. No money moves. The student keeps access."
            " The plan is then “Complete”, with 0.00 USD outstanding.",
        ),
    ):
        staff.open_dialog(f"{name}…")
        expect(staff.dialog).to_contain_text(effects)
        confirm(staff, name)
    shown = _details(staff, plan)["plan"]
    assert (shown["status"], shown["grants_access"], shown["attention"]) == ("COMPLETE", True, [])


def _details(staff: Staff, plan: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = staff.running.staff(f"/plans/{plan['plan_id']}")
    return details


def _can_be_charged(route: Route) -> None:
    """Answer as if the charge had been announced and its day had come, which only time leads to."""
    body = route.fetch().json()
    route.fulfill(json={**body, "collect_refusal": None})
