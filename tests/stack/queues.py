"""The queues of the running stack."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.stack.conftest import Running


@contextmanager
def short_visibility(running: Running, queue: str, seconds: int) -> Iterator[None]:
    """Let a message be delivered again so soon after its consumer failed or died.

    Waits for the messages of earlier tests: one that is in flight keeps the queue's own time, longer than a test waits,
    and its consumer is killed when a test changes the function.
    """
    sqs, url = running.client("sqs"), running.resource(queue)
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    running.until(lambda: running.messages(queue) == 0, "the messages of earlier tests")
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes=before)
