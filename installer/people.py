"""The budget alarm, and the first administrator."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import ClientError

from installer.run import Run
from installer.world import GLOBAL_REGION, is_missing

THRESHOLDS = (("ACTUAL", 80), ("FORECASTED", 100))
"""Percentages of the budget at which AWS writes an email."""


def budget_name(run: Run) -> str:
    """Return the name of the budget."""
    return f"{run.stack_name}-monthly"


def look_at_budget(run: Run) -> Sequence[str]:
    """Check that AWS warns before the account costs more than expected."""
    budgets = run.world.client("budgets", GLOBAL_REGION)
    try:
        budget = budgets.describe_budget(AccountId=run.account, BudgetName=budget_name(run))["Budget"]
    except ClientError as error:
        if not is_missing(error):
            raise
        return ["The account has no budget alarm. Run python install.py."]
    amount = str(budget["BudgetLimit"]["Amount"]).partition(".")[0]
    if amount != run.answers["budget"]:
        return [f"The budget is {amount} dollars, not {run.answers['budget']}. Run python install.py."]
    return []


def make_budget(run: Run) -> None:
    """Create the budget with its two warnings, or change its amount."""
    budgets = run.world.client("budgets", GLOBAL_REGION)
    budget = {
        "BudgetName": budget_name(run),
        "BudgetLimit": {"Amount": run.answers["budget"], "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    subscriber = {"SubscriptionType": "EMAIL", "Address": run.answers["alert_email"]}
    warnings = [
        {
            "Notification": {
                "NotificationType": kind,
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": percentage,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [subscriber],
        }
        for kind, percentage in THRESHOLDS
    ]
    try:
        budgets.describe_budget(AccountId=run.account, BudgetName=budget_name(run))
    except ClientError as error:
        if not is_missing(error):
            raise
        budgets.create_budget(AccountId=run.account, Budget=budget, NotificationsWithSubscribers=warnings)
    else:
        budgets.update_budget(AccountId=run.account, NewBudget=budget)


def _username(run: Run) -> str | None:
    """Return the name of the administrator in the pool, or None. The address is an alias, so a list finds it."""
    users = run.world.client("cognito-idp").list_users(
        UserPoolId=run.deployed().outputs["UserPoolId"], Filter=f'email = "{run.answers["admin_email"]}"', Limit=1
    )["Users"]
    return str(users[0]["Username"]) if users else None


def group(run: Run, parameter: str) -> str:
    """Return the name of a group of staff: that of the parameter `AdminGroup` or `SupportGroup`."""
    return run.deployed().parameters.get(parameter) or parameter.removesuffix("Group").lower()


def look_at_admin(run: Run) -> Sequence[str]:
    """Check that the administrator may use the console."""
    username = _username(run)
    if username is None:
        return [f"{run.answers['admin_email']} has no account. Run python install.py."]
    groups = run.world.client("cognito-idp").admin_list_groups_for_user(
        UserPoolId=run.deployed().outputs["UserPoolId"], Username=username
    )["Groups"]
    name = group(run, "AdminGroup")
    if name not in {entry["GroupName"] for entry in groups}:
        return [f"{run.answers['admin_email']} is not in the group {name}. Run python install.py."]
    return []


def make_admin(run: Run) -> None:
    """Create the administrator. Cognito sends them a temporary password, which the installer never sees."""
    cognito = run.world.client("cognito-idp")
    pool = run.deployed().outputs["UserPoolId"]
    username = _username(run)
    if username is None:
        email = run.answers["admin_email"]
        attributes = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        user = cognito.admin_create_user(
            UserPoolId=pool, Username=email, UserAttributes=attributes, DesiredDeliveryMediums=["EMAIL"]
        )
        username = str(user["User"]["Username"])
    cognito.admin_add_user_to_group(UserPoolId=pool, Username=username, GroupName=group(run, "AdminGroup"))
