"""One run of the installer: what its steps share, and the loop that looks, compares, and changes only what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import stripe
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from installer.questions import Answers, Interview
from installer.state import State
from installer.world import BAD_CREDENTIALS, DENIED, Stop, World, error_code
from local import change_set
from local.change_set import DeployedStack

LOOKS = 3
"""Looks at what a step has changed, before it counts as failed."""


@dataclass
class Run:
    """The world, the state and the answers of one run."""

    world: World
    state: State
    interview: Interview
    answers: Answers
    yes: bool = False
    checks_only: bool = False
    delay_s: float = 5
    new_webhook: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    """Values that one step reads and a later step needs."""

    @property
    def stack_name(self) -> str:
        """The name of the stack of template.yaml."""
        return self.answers["stack_name"]

    @property
    def web_stack_name(self) -> str:
        """The name of the stack of web.yaml."""
        return f"{self.stack_name}-web"

    @property
    def is_kept(self) -> bool:
        """Whether the environment is protected against deletion."""
        return self.answers["keep"] == "yes"

    @property
    def has_pool(self) -> bool:
        """Whether users sign in with the template's own pool, not with another issuer."""
        issuer = self.state.get("parameters", {}).get("JwtIssuer")
        if issuer is None and self.stack_name in self.facts:
            issuer = self.deployed().parameters.get("JwtIssuer")
        return not issuer

    @property
    def is_local(self) -> bool:
        """Whether AWS is MiniStack."""
        return self.world.aws_endpoint_url is not None

    @cached_property
    def account(self) -> str:
        """The number of the AWS account."""
        return str(self.world.client("sts").get_caller_identity()["Account"])

    @property
    def bucket(self) -> str:
        """The bucket of the artifacts and of the installation's lock."""
        return f"tuition-artifacts-{self.account}-{self.world.region}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of both stacks and all that they create."""
        return {"project": "tuition", "stage": self.answers["environment"]}

    def deployed(self) -> DeployedStack:
        """Return the deployed stack. Raises `Stop` if there is none."""
        return self._describe(self.stack_name)

    def deployed_web(self) -> DeployedStack:
        """Return the deployed stack of the pages. Raises `Stop` if there is none."""
        return self._describe(self.web_stack_name)

    def _describe(self, name: str) -> DeployedStack:
        if name not in self.facts:
            cloudformation = self.world.client("cloudformation")
            if change_set.status(cloudformation, name) not in change_set.READY:
                raise Stop(f"The stack {name} is not deployed. Run python install.py.")
            self.facts[name] = change_set.describe(cloudformation, name)
        stack: DeployedStack = self.facts[name]
        return stack

    def forget_stack(self, name: str) -> None:
        """Read a stack again when it is needed next."""
        self.facts.pop(name, None)
        self.facts.pop(f"{name} chosen", None)

    @property
    def api_url(self) -> str:
        """The address of the API itself."""
        stack = self.deployed()
        if self.is_local:
            return f"{self.world.aws_endpoint_url}{stack.api_path}"
        return stack.outputs["ApiUrl"]

    def confirm(self, question: str) -> bool:
        """Ask the person to agree. ``--yes`` agrees to everything."""
        return self.yes or self.world.ask(f"{question} [yes/no] ") in ("yes", "y")


Look = Callable[[Run], Sequence[str]]
"""Returns a sentence for each thing that differs from what it must be, with how to mend it."""


@dataclass(frozen=True)
class Step:
    """One step. ``look`` only reads. ``change`` is None for what only a person can mend."""

    name: str
    title: str
    look: Look
    change: Callable[[Run], None] | None = None
    applies: Callable[[Run], bool] = lambda _: True


def install(run: Run, steps: Sequence[Step]) -> None:
    """Take every step. A step whose look finds nothing changes nothing. Raises `Stop` at the first that fails."""
    for step in steps:
        if not step.applies(run):
            continue
        run.state.put("step", step.name)
        with_advice(step, partial(_take, run, step))
    run.state.put("step", "finished")


def _take(run: Run, step: Step) -> None:
    differences = step.look(run)
    if not differences:
        run.world.say(f"= {step.title}")
        return
    if step.change is not None:
        run.world.say(f"+ {step.title}")
        step.change(run)
        differences = _look_after_change(run, step)
    if differences:
        raise Stop("\n".join(differences))


def _look_after_change(run: Run, step: Step) -> Sequence[str]:
    """Look again, more than once: policies, users and budgets appear some seconds after their write."""
    differences = step.look(run)
    for _ in range(LOOKS - 1):
        if not differences:
            break
        run.world.sleep(run.delay_s)
        differences = step.look(run)
    return differences


def check(run: Run, steps: Sequence[Step]) -> list[str]:
    """Look at everything and change nothing. Return what is wrong and how to mend it."""
    problems: list[str] = []
    for step in steps:
        if not step.applies(run):
            continue
        try:
            differences = list(with_advice(step, partial(step.look, run)))
        except Stop as stop:
            differences = [str(stop)]
        mark = "!" if differences else "="
        run.world.say(f"{mark} {step.title}")
        problems += [f"{step.name}: {line}" for line in differences]
    return problems


def with_advice(step: Step, action: Callable[[], Any]) -> Any:
    """Return the result of an action. Raises `Stop` with what to do for the errors that a person can mend."""
    try:
        return action()
    except ClientError as error:
        raise Stop(_aws_advice(step, error)) from error
    except NoCredentialsError as error:
        raise Stop(
            "There are no AWS credentials. Sign in (`aws sso login`, `aws configure`), then run this again."
        ) from error
    except BotoCoreError as error:
        raise Stop(f"{step.title}: AWS cannot be reached: {error}. Run this again.") from error
    except stripe.AuthenticationError as error:
        raise Stop(
            "Stripe does not know this key. Copy it again from Stripe's dashboard, then run this again."
        ) from error
    except stripe.PermissionError as error:
        raise Stop(
            f"Stripe's key lacks a permission: {error.user_message or error}. Add it, then run this again."
        ) from error
    except stripe.StripeError as error:
        raise Stop(
            f"{step.title}: Stripe answers: {error.user_message or type(error).__name__}. Run this again."
        ) from error
    except change_set.DeployFailed as error:
        raise Stop(f"{step.title}: {error}\nRun this again when that is mended; nothing is lost.") from error


def _aws_advice(step: Step, error: ClientError) -> str:
    code, message = error_code(error), error.response["Error"].get("Message", "")
    if code in DENIED:
        return (
            f"{step.title}: your credentials may not call {error.operation_name}. {message}\n"
            "`python install.py --rights` prints the policy that the installer needs. Add it, then run this again."
        )
    if code in BAD_CREDENTIALS:
        return f"AWS refuses your credentials ({code}). Sign in again, then run this again."
    return (
        f"{step.title}: AWS answers {error.operation_name} with {code}: {message}\nRun this again when that is mended."
    )


def masked(key: str) -> str:
    """Return what may be shown of a key: its kind and its last four characters."""
    return f"{'_'.join(key.split('_')[:2])}_…{key[-4:]}"
