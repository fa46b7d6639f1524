"""Collect the plans that are due, every quarter of an hour: one run at a time, one task for some plans at once.

A run finds the plans by their index, plans tasks, tells the reconciler's workers about them, and performs what they do
not (`tuition.intake.fan_out`). The steps of one plan are in `tuition.payments.collection`. A plan that fails is named,
counted and passed over. A run or a worker that is killed anywhere is continued by the next run.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tuition import clock, metrics
from tuition.core import timestamps
from tuition.core.plan import STATUSES
from tuition.intake import fan_out, walk
from tuition.intake.fan_out import Chunks, Work
from tuition.intake.walk import OutOfTime, Run
from tuition.log import logger
from tuition.payments import collection, restored_plans
from tuition.storage import cursors, ledger, queries, switches
from tuition.storage.tasks import Task
from tuition.stripe_gateway import client as stripe_client

KIND = "collect"
PLANS_PER_TASK = 50
"""One invocation can finish a task, also if each plan costs ten calls to Stripe."""
MAX_UNPLANNED = 10_000
"""Counting stops here. The alarm needs to know that there is a backlog."""


def run(remaining: Callable[[], float]) -> Run:
    """Collect every plan that is due, as far as `remaining()` seconds allow. Raises `LeaseTaken`, `StripeUnavailable`.

    "Now" is Stripe's time at the start of the run, which also stamps charges.
    """
    current = Run(remaining)
    with cursors.lease(cursors.COLLECT):
        now = walk.stripe_now()
        metrics.age("StripeClockDifference", abs(now - clock.now()))
        chunks = Chunks(current, KIND, PLANS_PER_TASK, of="plans")
        chunks.plan(queries.due_plans(timestamps.iso(now)), now, MAX_UNPLANNED)
        work = Work(current)
        try:
            fan_out.tell_workers(chunks.planned)
            work.perform(chunks.planned, perform)
            work.wait(chunks.planned, perform)
        except OutOfTime:
            current.done = False
        finally:
            current.backlog = chunks.unplanned + sum(
                len(task.plan_ids) for task in chunks.planned if task.name not in work.finished
            )
            current.done = current.done and not current.backlog
            metrics.count("CollectBacklog", current.backlog)
    return current


def recompute(remaining: Callable[[], float], after: str | None = None) -> dict[str, Any]:
    """Compute the parts of every plan again from its payments, after a restore has separated them.

    It begins behind the position `after`, and returns the one behind which the next invocation continues if it is not
    `done`. `changed` are the plans that differed. It charges and announces nothing, and repeating it changes nothing.
    """
    current, changed = Run(remaining), list[str]()
    try:
        for position, plan_id in _every_plan(after):
            with current.step(plan_id):
                before = ledger.load_plan(plan_id)
                if restored_plans.compared(plan_id, before) is not before:
                    changed.append(plan_id)
                current.checked += 1
            after = position
    except OutOfTime:
        current.done = False
    report = {"checked": current.checked, "changed": changed, "failed": current.failed}
    return {**report, "done": current.done, "after": after}


def _every_plan(after: str | None) -> Iterator[tuple[str, str]]:
    """Yield every plan behind a position, with its own position. One whose status changes meanwhile may come twice."""
    first, _, start = (after or "0 ").partition(" ")
    partitions = [shard for status in STATUSES for shard in queries.plans_by_status(status)]
    for number, partition in enumerate(partitions[int(first) :], int(first)):
        low = start if number == int(first) else ""
        for key in queries.sort_keys_between(partition, low or "0", "~", PLANS_PER_TASK, ascending=True):
            if key != low:
                yield f"{number} {key}", key.partition("#")[2]


def perform(current: Run, task: Task, now: int | None = None) -> bool:
    """Collect the plans of a task. Return whether none is left.

    A run collects as of its start, which is in the task. A worker says what time it is `now` (epoch seconds by Stripe's
    clock): its message may be a day old, and a try must not be repeated when Stripe may have dropped its key.
    """
    as_of = task.after if now is None else now
    for plan_id in task.plan_ids:
        if current.remaining() < walk.RESERVE_S:
            current.done = False
            return False
        with current.step(plan_id):
            taken = stripe_client.retry_rate_limits(
                collection.collect, plan_id, as_of, charging=switches.load("collecting").on
            )
            current.checked += 1
            if taken:
                logger.info("collected", plan_id=plan_id, steps=dict(taken))
    return True
