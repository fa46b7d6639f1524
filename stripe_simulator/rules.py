"""The rule that refused a request: the functions between the request and the check that raised the error.

Their docstrings say what they check and which page of Stripe's documentation says so.
"""

import re
import sys
from dataclasses import dataclass
from types import TracebackType

PACKAGE = "stripe_simulator."
PLUMBING = {
    "api:Stripe.begin",
    "api:Stripe._admit",
    "api:Stripe.execute",
    "api:Stripe._call_handler",
    "account:Account.atomic",
    "errors:card_error",
}
"""Functions that every request passes."""
MAX_FUNCTIONS = 12
"""The functions that are kept of one refusal: the last ones."""
PAGE = re.compile(r"https://(?:docs\.)?stripe\.com/[^\s\"'`<>]*[^\s\"'`<>.:,)]")


@dataclass(frozen=True)
class Rule:
    """A function that took part in a refusal."""

    name: str
    text: str
    page: str | None


def trace(error: BaseException) -> list[str]:
    """Return the functions that led to an error as `module:function`, outermost first."""
    names: list[str] = []
    frame: TracebackType | None = error.__traceback__
    while frame is not None:
        module = frame.tb_frame.f_globals.get("__name__", "")
        name = f"{module.removeprefix(PACKAGE)}:{frame.tb_frame.f_code.co_qualname}"
        if module.startswith(PACKAGE) and name not in PLUMBING and name not in names[-1:]:
            names.append(name)
        frame = frame.tb_next
    return names[-MAX_FUNCTIONS:]


def explain(names: list[str]) -> list[Rule]:
    """Return what the functions of a trace say about themselves, the one that refused first."""
    return [_explain(name) for name in reversed(names)]


def _explain(name: str) -> Rule:
    module_name, _, path = name.partition(":")
    module = sys.modules.get(PACKAGE + module_name)
    target: object = module
    for part in path.split(".<locals>")[0].split("."):
        target = getattr(target, part, None)
    own = getattr(target, "__doc__", None) or ""
    page = PAGE.search(own) or PAGE.search(getattr(module, "__doc__", None) or "")
    return Rule(f"{module_name.replace('.', '/')}.py {path}", own.strip().split("\n\n")[0], page[0] if page else None)
