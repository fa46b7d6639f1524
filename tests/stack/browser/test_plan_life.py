"""Months of three payment plans on a stack whose clock moves: `make run`, which no other test uses, and ends by Ctrl-C.

`tests/tables/test_collection.py` has the rules of the collector. Here it charges without the student on the running
stack, and the student and the school see what follows from a declined charge.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from local import verify
from local.running import running_file
from local.stack import Settings, Stack
from tests.stack import commands
from tests.stack.browser.console.staff import Staff
from tests.stack.browser.student import Student
from tests.stack.browser.test_plans import PLAN, button, consent_box, expect_strip, link, use_card
from tests.stack.browser.test_student_page import GOOD
from tests.stack.conftest import Running
from tests.stack.test_emails import outbox
from tests.stack.test_plans import act, read, started
from tests.stack.test_run import served
from tuition import clock
from tuition.core import timestamps

DAY_S = 86_400
MEMBERSHIP = "Payment plan: All-access membership"
RETRIES_AND_GRACE = (3, 7, 12, 14)
"""Days after a charge on which the collector changes a plan: the retries, and the end of the grace period."""


class Months:
    """A stack whose clock moves by days, and the plan of a student on it."""

    def __init__(self, running: Running, token: str, opened: dict[str, Any]) -> None:
        self.running = running
        self.token = token
        self.opened = opened

    @property
    def plan(self) -> Any:
        return read(self.running, self.token, self.opened)

    def collect_on(self, day: str, *, plus_days: int = 0) -> None:
        """Move Stripe's clock to the end of a day, and run the collector. Does nothing else if it is later already."""
        now = self.running.http.get(f"{self.running.ready['stripe']}/_sim/clock").json()["now"]
        target = timestamps.epoch(f"{day}T00:00:00Z") + (plus_days + 1) * DAY_S - 60
        self.running.sim("clock", advance_s=max(target - now, 0))
        collected = commands.run(self.running, "collect")
        assert collected.returncode == 0, collected.stdout + collected.stderr

    def announce(self) -> str:
        """Have the next charge announced a week before it, and return its day."""
        self.collect_on(self.plan["next"]["due"], plus_days=-7)
        following = self.plan["next"]
        (day,) = {one["collect"] for one in self.plan["schedule"] if one["seq"] in following["seqs"]}
        assert day, "the charge is announced"
        return str(day)

    def decline_next(self, times: int) -> None:
        """Have the bank decline the next charges of the plan's payment method."""
        steps = ["insufficient_funds"] * times
        self.running.sim(f"payment_methods/{self.plan['payment_method']['id']}", next=steps)

    def until(self, status: str) -> None:
        self.running.until(lambda: self.plan["status"] == status, f"the plan is {status}")


@pytest.fixture
def months(tmp_path: Path, sub: str) -> Iterator[Months]:
    with served(tmp_path) as ready:
        running = Running(Stack(Settings(), print), ready, tmp_path)
        token = running.token(sub)
        yield Months(running, token, started(running, token))


def emails(running: Running, sub: str) -> set[str]:
    return {email["kind"] for email in outbox(running, to=f"{sub}@example.org")}


def figures(running: Running, names: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Return these figures of both kinds of plans, of the days until a year from now."""
    today = timestamps.day_of(clock.now(), timestamps.UTC_ZONE)
    details = running.staff(
        "/analytics/details", **{"from": timestamps.day_after(today, -1), "to": timestamps.day_after(today, 365)}
    )
    return {one["kind"]: {name: one[name] for name in names[one["kind"]]} for one in details["plans"]}


@contextmanager
def pages(browser: Browser, running: Running, sub: str, member: str) -> Iterator[tuple[Student, Student, Staff]]:
    """Yield a student and a member with phones, one of them narrow, and a member of staff, each with a browser."""
    address = running.ready["api"]
    phone = browser.new_context(viewport={"width": 390, "height": 844}, base_url=address, color_scheme="dark")
    narrow = browser.new_context(viewport={"width": 320, "height": 640}, base_url=address, color_scheme="dark")
    desktop = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=address, color_scheme="light")
    people = (
        Student(running, phone, sub, "phone", None),
        Student(running, narrow, member, "phone", None),
        Staff(running, desktop, f"staff-of-{sub}", "console", None),
    )
    yield people
    for person in people:
        person.close_browser()


def join_again(ended: Months, member: Student) -> Months:
    """Begin a new membership on the page of the one that has ended, and a track of it."""
    member.open(f"#/plans/{ended.opened['plan_id']}")
    member.sign_in()
    member.expect_text("Your membership has ended. You can join again at any time.")
    expect_strip(member, "Paid", "Paid")
    link(member, "Join again").click()
    member.expect_heading("Join All-access membership")
    expect(member.page.get_by_role("radio", name="Visa ending in 4242")).to_be_checked()
    consent_box(member).check()
    member.agree_to_terms()
    button(member, "Agree and pay $49.00").click()
    member.expect_heading(MEMBERSHIP)
    expect_strip(member, "Paid", "Upcoming")
    button(member, "Begin Full-Stack Developer").click()
    member.expect_text("You have begun Full-Stack Developer.")
    assert ended.running.enrollment(ended.token, "FSD")["status"] == "ENROLLED"
    joined = Months(ended.running, ended.token, {"plan_id": member.page.url.rpartition("/")[2]})
    ended.running.until(lambda: joined.plan["payment_method"], "the charge is processed")
    return joined


def be_late_and_leave(joined: Months, member: Student) -> None:
    """The bank declines the next period of the membership, and the member cancels it."""
    if joined.plan["status"] == "ACTIVE":  # they joined after midnight, so it is not charged with the other plan
        joined.collect_on(joined.announce())
    joined.until("LATE")
    member.page.reload()
    member.expect_text("$49.00 is due. You keep your access until")
    expect_strip(member, "Paid", "Charge failed")
    button(member, "Cancel membership").click()
    dialog = member.page.get_by_role("dialog")
    for text in ("You’ll lose access to All-access membership at once.", "You owe nothing for the period"):
        expect(dialog).to_contain_text(text)
    member.expect_accessible()
    dialog.get_by_role("button", name="Cancel membership").click()
    member.expect_text("Your membership is canceled.")
    assert joined.running.enrollment(joined.token, "FSD")["status"] == "WITHDRAWN"


def be_suspended_and_continue(months: Months, day: str, student: Student, staff: Staff) -> None:
    """The third charge was declined on `day`. The student lets the grace period pass, and then pays."""
    running = months.running
    student.open(f"#/plans/{months.opened['plan_id']}")
    student.sign_in()
    student.expect_heading(PLAN)
    expect_strip(student, "Paid", "Paid", "Charge failed", "Upcoming")
    student.expect_text("$124.75 is due. You keep your access until")
    student.expect_accessible()
    for days in RETRIES_AND_GRACE:
        months.collect_on(day, plus_days=days)
    months.until("SUSPENDED")
    assert running.enrollment(months.token)["status"] == "SUSPENDED"
    student.page.reload()
    student.expect_text("Your access is suspended. Your progress is kept. Pay $124.75 to continue where you left")
    staff.open("#/plans?status=SUSPENDED")
    staff.expect_rows(1)
    staff.rows().get_by_role("link").first.click()
    staff.expect_text("closed if installment 3 is not paid")
    link(student, "Pay $124.75 now").click()
    use_card(student, GOOD, "Pay $124.75")
    expect_strip(student, "Paid", "Paid", "Paid", "Upcoming")
    student.expect_text("Next payment: $124.75 on")
    assert running.enrollment(months.token)["status"] == "ENROLLED"


def decline_the_last_charge_and_complete(months: Months, student: Student, staff: Staff) -> None:
    """Staff charge the declined installment again, and end the access of the plan that is paid."""
    day = months.announce()
    months.decline_next(times=1)
    months.collect_on(day)
    months.until("LATE")
    staff.page.reload()
    staff.open_dialog("Charge now…")
    expect(staff.dialog).to_contain_text("124.75 USD for installment 4 is charged")
    staff.dialog.get_by_role("button", name="Charge now").click()
    expect(staff.main.get_by_role("status").first).to_contain_text("Charged.")
    months.until("COMPLETE")
    student.page.reload()
    student.expect_text("Paid in full")
    staff.page.reload()  # the webhook has changed the plan since
    staff.open_dialog("Revoke access…")
    staff.dialog.get_by_label("Reason").fill("shared the account")
    staff.dialog.get_by_role("button", name="Revoke access").click()
    expect(staff.dialog).to_have_count(0)
    student.page.reload()
    student.expect_text("The school has ended the access from this plan, and nothing is charged.")


def expect_emails_and_figures(running: Running, sub: str, member: str) -> None:
    expected = {"plan_begun", "plan_charge_announced", "plan_charged", "plan_charge_failed", "plan_suspended"}
    running.until(lambda: emails(running, sub) >= {*expected, "plan_complete"}, "the emails of the plan")
    of_member = {"plan_begun", "plan_charge_announced", "plan_charged", "plan_ending", "plan_closed"}
    running.until(lambda: emails(running, member) >= of_member, "the emails of the membership")
    changes = {"started": 1, "suspended": 1, "restored": 1, "completed": 1, "closed": 0}
    of_kinds = {
        "installments": {"settlements": 4, "settled": 49_900, **changes},
        "membership": {"started": 2, "suspended": 0, "restored": 0, "completed": 0, "closed": 2},
    }
    running.until(lambda: figures(running, of_kinds) == of_kinds, "the figures of both plans")
    compared = commands.run(running, "collect", "--recompute")
    assert (compared.returncode, compared.stdout) == (0, "3 plans were compared with their payments\n"), compared
    with running_file(running.ready):
        assert verify.main(["--api-port", running.ready["api"].rpartition(":")[2]]) == verify.HOLDS


@pytest.mark.timeout(300)
def test_plans_are_announced_charged_declined_suspended_restored_and_end(
    months: Months, browser: Browser, sub: str
) -> None:
    running = months.running
    member = f"member-{sub}"
    joined = Months(running, running.token(member), started(running, running.token(member), "ALL"))
    act(running, joined.token, joined.opened, "tracks", track="FSD")

    months.collect_on(months.announce())
    running.until(lambda: months.plan["received"] == 24_950, "the second installment is charged")
    running.until(lambda: joined.plan["received"] == 2 * joined.plan["schedule"][0]["amount"], "the membership renews")
    assert act(running, joined.token, joined.opened, "cancel")["cancel_at"] == joined.plan["paid_through"]

    day = months.announce()
    months.decline_next(times=4)
    months.collect_on(day)
    months.until("LATE")
    joined.until("CLOSED")
    assert running.enrollment(joined.token, "FSD")["status"] == "WITHDRAWN"
    with pages(browser, running, sub, member) as (student, member_page, staff):
        joined_again = join_again(joined, member_page)
        be_suspended_and_continue(months, day, student, staff)
        joined_again.decline_next(times=1)
        decline_the_last_charge_and_complete(months, student, staff)
        be_late_and_leave(joined_again, member_page)
    expect_emails_and_figures(running, sub, member)
