"""Collect the plans that are due, every quarter of an hour: one run at a time, one task for some plans at once.

A run finds the plans by their index, plans tasks, tells the reconciler's workers about them, and performs what they do
not (`tuition.intake.fan_out`). The steps of one plan are in `tuition.payments.collection`. A plan that fails is named,
counted and passed over. A run or a worker that is killed anywhere is continued by the next run.
"""

from collections.abc import Callable

from tuition import clock, metrics
from tuition.core import timestamps
from tuition.intake import fan_out, walk
from tuition.intake.fan_out import Chunks, Work
from tuition.intake.walk import OutOfTime, Run
from tuition.log import logger
from tuition.payments import collection
from tuition.storage import cursors, queries, switches
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


def perform(current: Run, task: Task) -> bool:
    """Collect the plans of a task, as of the time of the run that planned it. Return whether none is left."""
    for plan_id in task.plan_ids:
        if current.remaining() < walk.RESERVE_S:
            current.done = False
            return False
        with current.step(plan_id):
            taken = stripe_client.retry_rate_limits(
                collection.collect, plan_id, task.after, charging=switches.load("collecting").on
            )
            current.checked += 1
            if taken:
                logger.info("collected", plan_id=plan_id, steps=dict(taken))
    return True
