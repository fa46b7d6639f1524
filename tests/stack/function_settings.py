"""Other settings for some functions of the running stack, for the duration of a test."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from local.change_set import ALIAS
from tests.stack.conftest import Running

REGION_FUNCTIONS = (
    *("RequestRefundFunction", "PaymentStatusFunction"),
    *("MyPaymentsFunction", "EnrollmentsFunction", "TracksFunction", "PlansFunction"),
)
"""The functions that students' pages call and that read CONSUMER_REGION."""
ALIASED = frozenset({"RequestRefundFunction", "PaymentStatusFunction", "PlansFunction"})


@contextmanager
def changed(running: Running, functions: Sequence[str], **variables: str) -> Iterator[None]:
    """Set variables of these functions, by their logical ids, and put back what they had."""
    with ExitStack() as stack:
        for function in functions:
            stack.enter_context(_changed(running, function, variables))
        yield


@contextmanager
def _changed(running: Running, function: str, variables: dict[str, str]) -> Iterator[None]:
    aws, deployed = running.stack.aws, running.stack.deployed
    assert aws is not None
    assert deployed is not None
    client, name = aws.client("lambda"), deployed.resources[function]
    before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    released = client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"] if function in ALIASED else None
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {**before, **variables}})
    version = None
    if released:
        version = client.publish_version(FunctionName=name)["Version"]
        client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=version)
    yield
    if released:
        client.update_alias(FunctionName=name, Name=ALIAS, FunctionVersion=released)
        client.delete_function(FunctionName=name, Qualifier=version)  # a rollback takes the newest version that exists
    client.update_function_configuration(FunctionName=name, Environment={"Variables": before})
