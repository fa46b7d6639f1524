"""The command line of the installer."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from installer import choices, removal, rights, rotation
from installer.account import Lock
from installer.questions import QUESTIONS, SECRETS, Interview, is_parameter, known_names, read_answers
from installer.run import Run, Step, check, install, with_advice
from installer.state import State
from installer.steps import BEFORE_LOCK, STEPS, what_next
from installer.world import Stop, World
from local.build import ROOT

LOCAL_DELAY_S = 0.1
REMOVAL = Step("removal", "Removal", lambda _: [])
ROTATION = Step("rotation", "Rotation", lambda _: [])


def main(
    arguments: Sequence[str] | None = None,
    make_world: Callable[..., World] = World,
    secrets: Mapping[str, str] | None = None,
) -> int:
    """Run the installer. Return 0 if everything is as it must be, otherwise 1. ``secrets`` are answers answers."""
    options = _parse(arguments)
    if options.rights:
        print(rights.policy())
        return 0
    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns of its own metrics
    world = make_world("", options.aws_endpoint_url, options.stripe_api_base)
    try:
        return _run(options, world, secrets or {})
    except Stop as stop:
        world.say(f"\n{stop}")
    except KeyboardInterrupt:
        world.say("\nStopped. Nothing is lost: the next run continues from here.")
    return 1


def _run(options: argparse.Namespace, world: World, secrets: Mapping[str, str]) -> int:
    run = _prepare(options, world, secrets)
    if options.check:
        run.checks_only = True
        problems = check(run, [*BEFORE_LOCK, *STEPS])
        for problem in problems:
            world.say(problem)
        world.say(f"{len(problems)} problems." if problems else "Everything is as it must be.")
        return 1 if problems else 0
    if options.remove:
        removal.refuse_if_kept(run)
    if not run.state.get("deployed"):
        world.say("The installer needs these rights in the account (the policy as JSON: python install.py --rights):")
        world.say(rights.summary())
    install(run, BEFORE_LOCK)
    run.state.put("account", run.account)
    lock = Lock(run)
    if options.take_over:
        lock.take_over()
    first = REMOVAL if options.remove else ROTATION if options.rotate else STEPS[0]
    with_advice(first, lock.take)
    try:
        if options.remove:
            with_advice(REMOVAL, lambda: removal.remove(run))
            return 0
        if options.rotate:
            with_advice(ROTATION, lambda: _rotate(run, options))
            return 0
        install(run, STEPS)
        what_next(run)
    finally:
        lock.release()
    return 0


def _rotate(run: Run, options: argparse.Namespace) -> None:
    if options.rotate == "webhook":
        rotation.rotate_webhook(run)
    else:
        rotation.rotate_key(run, options.key_group)


def _prepare(options: argparse.Namespace, world: World, secrets: Mapping[str, str]) -> Run:
    """Return a run with all answers that are not secrets."""
    answers = read_answers(options.answers) if options.answers else {}
    answers |= known_names(dict(options.set), "--set")
    parameters = choices.check({name: value for name, value in answers.items() if is_parameter(name)})
    explicit = {name: value for name, value in answers.items() if not is_parameter(name)} | dict(secrets)
    environment = options.environment or explicit.get("environment")
    if environment is None:
        interview = Interview(world, State(options.state / "unnamed.json"), {}, use_defaults=options.defaults)
        environment = interview.first()
    if problem := QUESTIONS[0].check(environment, {}):
        raise Stop(f"environment is {environment!r}: {problem}.")
    state = State(options.state / f"{environment}.json")
    if not state.get("deployed") and (options.check or options.upgrade or options.rotate):
        raise Stop(f"The environment {environment} has not been set up from this folder. Run python install.py.")
    parameters = {**state.get("parameters", {}), **parameters}
    explicit["environment"] = environment
    interview = Interview(world, state, explicit, use_defaults=options.defaults, parameters=parameters)
    answers = interview.answers()
    state.put("parameters", parameters)
    world.region = answers["region"]
    run = Run(world, state, interview, answers, yes=options.yes, new_webhook=options.new_webhook)
    if run.is_local:
        run.delay_s = LOCAL_DELAY_S
    return run


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python install.py",
        description="Set Tuition up in an AWS account. A run that was stopped continues from where it was.",
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--check", action="store_true", help="look at everything, change nothing, name what is wrong")
    modes.add_argument("--upgrade", action="store_true", help="deploy this folder's version to a system that is set up")
    modes.add_argument("--remove", action="store_true", help="remove an environment that is not kept, with its data")
    modes.add_argument(
        "--rights", action="store_true", help="print the policy with the rights that the installer needs"
    )
    modes.add_argument(
        "--rotate",
        choices=("webhook", "key"),
        help="replace the webhook's secret or Stripe's key, without a deployment",
    )
    parser.add_argument(
        "--key-group",
        choices=tuple(rotation.READS),
        default="default",
        help="the group whose key --rotate key replaces",
    )
    parser.add_argument("--environment", help="the name of the environment")
    parser.add_argument("--answers", type=Path, help="a JSON file with answers; keep it outside of git")
    parser.add_argument(
        "--set", type=_pair, action="append", default=[], metavar="NAME=VALUE", help="one answer, or one parameter"
    )
    parser.add_argument("--defaults", action="store_true", help="take the suggested answer where there is one")
    parser.add_argument("--yes", action="store_true", help="agree to every change")
    parser.add_argument("--take-over", action="store_true", help="remove the lock of a run that was cut off")
    parser.add_argument("--new-webhook", action="store_true", help="replace the webhook endpoint and its secret")
    parser.add_argument("--state", type=Path, default=ROOT / ".install", help="the folder of what is remembered")
    parser.add_argument("--aws-endpoint-url", help="the address of MiniStack, instead of AWS")
    parser.add_argument("--stripe-api-base", help="the address of the Stripe simulator, instead of Stripe")
    return parser.parse_args(arguments)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    if name in SECRETS:
        raise argparse.ArgumentTypeError(
            f"{name} is a secret, which a shell would remember: use --answers or the prompt"
        )
    return name, value


if __name__ == "__main__":
    raise SystemExit(main())
