"""The steps of the installer, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from installer import account, people, smoke, stack, stripe_account, web
from installer.run import Run, Step

BEFORE_LOCK = (
    Step("credentials", "Credentials and account", account.look_at_credentials),
    Step("quotas", "Quotas of the account", account.look_at_quotas),
    Step("bucket", "Bucket of the artifacts", account.look_at_bucket, account.make_bucket),
)
"""The steps that two runs may take at once. The lock is an object in the bucket."""
STEPS: Sequence[Step] = (
    Step("prefix", "Prefix of the sign-in page", account.look_at_prefix, applies=lambda run: run.has_pool),
    Step(
        "sender",
        "Sender of the sign-in emails",
        account.look_at_sender,
        applies=lambda run: bool(run.answers["sign_in_sender"]),
    ),
    Step("build", "Build", stack.look_at_build),
    Step("topic", "Topic of the alarms", stack.look_at_topic, stack.make_topic),
    Step(
        "break_glass_role",
        "Role for emergencies",
        stack.look_at_break_glass_role,
        stack.make_break_glass_role,
        applies=lambda run: run.is_kept,
    ),
    Step(
        "certificate",
        "Certificate of the domain",
        web.look_at_certificate,
        web.request_certificate,
        applies=web.has_pages,
    ),
    Step("stack", "Stack of the API", stack.look_at_stack, stack.deploy_stack),
    Step("key", "Stripe's key for the functions", stripe_account.look_at_key, stripe_account.store_key),
    Step("web", "Stack of the pages", web.look_at_stack, web.deploy_stack, applies=web.has_pages),
    Step("files", "Files of the pages", web.look_at_files, web.upload_files, applies=web.has_pages),
    Step("webhook", "Stripe's webhook endpoint", stripe_account.look_at_webhook, stripe_account.register_webhook),
    Step(
        "protection",
        "Protection against deletion",
        stack.look_at_protection,
        stack.protect,
        applies=lambda run: run.is_kept,
    ),
    Step("budget", "Budget alarm", people.look_at_budget, people.make_budget),
    Step(
        "admin",
        "First administrator",
        people.look_at_admin,
        people.make_admin,
        applies=lambda run: run.has_pool,
    ),
    Step("api", "Answers of the API", smoke.look_at_api),
    Step("payment", "Test payment", smoke.look_at_payment, smoke.pay, applies=smoke.may_pay),
)


def what_next(run: Run) -> None:
    """Print what only a person can do."""
    say = run.world.say
    say("")
    say(f"Tuition is set up in {run.answers['environment']}: {run.api_url}")
    say("What to do next:")
    if run.answers["domain"]:
        say(f"- Point {run.answers['domain']} at {run.deployed_web().outputs['DistributionDomain']}.")
    if target := run.deployed().outputs.get("ApiDomainTarget"):
        say(f"- Point the domain of the API at {target}.")
    say(f"- Confirm the subscription of alarms in the mailbox of {run.answers['alert_email']}.")
    if run.has_pool:
        say(f"- {run.answers['admin_email']} signs in with the temporary password from their email, and sets up a")
        say("  second factor, without which the console stays closed. See docs/operations.md.")
    say("- Run `python install.py --check` now and after each change, and read the checklist in docs/setup.md.")
