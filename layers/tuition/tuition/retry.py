"""Bounded retries: the one loop, and every limit by its name.

Source: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from collections.abc import Iterator
from typing import NamedTuple

from tuition import clock


class Limit(NamedTuple):
    """How often something is tried, and how long to wait in between: full jitter, doubling from `base_s` to `max_s`.

    `base_s` 0: no wait, because the next try depends on another writer's state and not on time.
    """

    attempts: int
    base_s: float = 0.05
    max_s: float = 1.0


BATCH_GET = Limit(5)
"""Batch reads that DynamoDB answers only in part."""
COMMIT = Limit(12)
"""Transactions that lose to another writer of the same payment, enrollment or chain."""
LIMITS = Limit(12)
"""Updates of a user's limits that lose to another request of the same user."""
CREATE = Limit(24, base_s=0)
"""Rounds of one create, each of which begins with a fresh look at the enrollment."""
CREATE_COMMIT = Limit(23)
"""Commits of one object that a create has made at Stripe."""
SEARCH = Limit(12)
"""Transactions that lose to another one about the words of the same payment."""
ROLL_UPS = Limit(12)
"""Transactions that lose to another one that changes the same roll-ups."""
RECOUNT = Limit(4, base_s=0)
"""Looks at a roll-up that differs from its payments: a record that was not counted yet looks like a difference."""
REFUND = Limit(4, base_s=0)
"""Submissions of one refund request within one invocation, each with a key that is not spent."""
STRIPE = Limit(3, base_s=0.1)
"""Calls to Stripe that got no definite answer."""
STRIPE_RACE = Limit(20, base_s=0.1)
"""Calls to Stripe that met another call of ours: a key in flight or a locked object, both free again soon."""
STRIPE_RATE_LIMIT = Limit(6, base_s=0.5, max_s=10)
"""Calls of the reconciler that Stripe rate-limits. No user waits for them."""
RELEASE_CHECK = Limit(3, base_s=1)
"""Test events to the webhook's new version. One that fails by chance must not undo a release."""
TASK_WAIT = Limit(400, base_s=2, max_s=4)
"""Looks of the reconciler at tasks that its workers hold: 2 s apart on average, so that one run waits 15 minutes."""
ENROLLMENTS_READ = Limit(3, base_s=0)
"""Reads of enrollments and of their payments: a commit between the two changes both, and only one is seen changed."""
AUDIT_READ = Limit(3, base_s=0)
"""Reads of a payment and its audit trail: a commit between the two would look like tampering."""


def attempts(limit: Limit) -> Iterator[int]:
    """Yield the number of each attempt, from 1, and wait before every attempt but the first.

    A wait never exceeds the deadline of the invocation. The caller leaves the loop when it succeeds.
    """
    for attempt in range(1, limit.attempts + 1):
        if attempt > 1 and limit.base_s:
            clock.pause(attempt - 1, base_s=limit.base_s, max_s=limit.max_s)
        yield attempt
