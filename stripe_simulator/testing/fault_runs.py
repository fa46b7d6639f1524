"""Run a callable once for each call that it makes and each fault.

Nothing here knows which calls are made: a first run counts them, and each later run has one fault at one call.

`fault_points` and `run_at_each` work with any kind of call and fault. `run_each_fault` injects the faults of
`/_sim/calls` into the calls to the simulator.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stripe_simulator.testing.account import StripeAccount

if TYPE_CHECKING:
    import stripe

FAULTS = ("before", "after", "error", "rate_limit", "lock_timeout")
"""The faults of `run_each_fault`. `slow` and `hang` are the others that it can inject; they take their time."""
LASTING = ("before", "after", "error", "rate_limit")
"""The faults that may also last: every later call of the run has the fault too."""
MAX_CALLS = 10_000
"""The simulator's log has no more requests."""
FOREVER = 1_000_000
EVERY_CALL = "*"


@dataclass(frozen=True)
class FaultPoint:
    """A fault: the fate of call number `call` (from 0), and of every later call if it `lasts`."""

    call: int
    fate: str
    lasts: bool = False

    def __str__(self) -> str:
        return f"call {self.call} {self.fate}{' from then on' if self.lasts else ''}"


def fault_points(
    calls: Sequence[Any], fates: Callable[[Any], Iterable[str]], lasting: Collection[str] = ()
) -> list[FaultPoint]:
    """Return every fault of every call. `fates` returns those that a call can have."""
    points = []
    for number, call in enumerate(calls):
        for fate in fates(call):
            points.append(FaultPoint(number, fate))
            points += [FaultPoint(number, fate, lasts=True)] if fate in lasting else []
    return points


def run_at_each(points: Iterable[Any], run: Callable[[Any], object], describe: Callable[[Any], str] = str) -> int:
    """Call `run` with each point, and return the number of points. A failure names its point."""
    count = 0
    for point in points:
        try:
            run(point)
        except BaseException as error:  # pytest.fail() and pytest.raises() raise no Exception
            error.add_note(f"with the fault: {describe(point)}")
            raise
        count += 1
    return count


class FaultRun:
    """One run on a new account. Without a `point` it is the first, which counts the calls."""

    def __init__(self, account: StripeAccount, point: FaultPoint | None, client_options: dict[str, Any]) -> None:
        self.account = account
        self.point = point
        self.prepared: Any = None
        """The value that `prepare` has returned."""
        self.result: Any = None
        """The value that the callable has returned."""
        self.error: Exception | None = None
        """The exception that the callable has raised."""
        self._client_options = client_options

    @property
    def client(self) -> "stripe.StripeClient":
        """A client of the account."""
        return self.account.client(**self._client_options)


Step = Callable[[FaultRun], Any]


def run_each_fault(
    flow: Step,
    check: Step,
    *,
    new_account: Callable[[], StripeAccount],
    prepare: Step | None = None,
    faults: Sequence[str] = FAULTS,
    lasting: Collection[str] = LASTING,
    client_options: dict[str, Any] | None = None,
) -> list[FaultPoint]:
    """Run `flow` without a fault, then once for each call it makes and each fault, and return these faults.

    Each run is on a new account: `prepare(run)`, then `flow(run)` with the fault, then `check(run)` without it. `flow`
    may raise, except for an AssertionError; the exception is in `run.error`. `check` asserts what must hold in any
    case. A failure names the fault and its call. Calls of several threads come in no fixed order, so one may be missed.

    Raises AssertionError also if the first run fails or makes no call, or if a later run does not make the same calls.
    """
    __tracebackhide__ = True
    options = {"max_network_retries": 0} if client_options is None else client_options

    def run_at(point: FaultPoint | None) -> list[str]:
        __tracebackhide__ = True
        run = FaultRun(new_account(), point, options)
        run.prepared = prepare(run) if prepare else None
        earlier = len(_requests(run.account))
        times = FOREVER if point and point.lasts else 1
        if point is not None:
            run.account.fail(EVERY_CALL, point.fate, times=times, skip=point.call)
        try:
            run.result = flow(run)
        except AssertionError:
            raise
        except Exception as error:
            if point is None:
                raise
            run.error = error
        never_made = any((one["match"], one["times"]) == (EVERY_CALL, times) for one in run.account.faults())
        assert not never_made, "the call was never made: the flow makes other calls than in its first run"
        run.account.control("DELETE /_sim/calls")
        requests = _requests(run.account)[earlier:]
        try:
            check(run)
        except BaseException as error:
            error.add_note(
                "\n  ".join(
                    ["the calls that reached Stripe in this run:", *(map(_result, requests) if requests else ["none"])]
                )
            )
            raise
        return [_call(one) for one in requests]

    calls = run_at(None)
    assert calls, "the flow makes no call to the simulator"
    points = fault_points(calls, lambda _: faults, [fate for fate in lasting if fate in faults])
    run_at_each(points, run_at, lambda point: f"{point} ({calls[point.call]})")
    return points


def _requests(account: StripeAccount) -> list[dict[str, Any]]:
    """Return the log of the requests so far."""
    requests: list[dict[str, Any]] = account.control(f"GET /_sim/requests?limit={MAX_CALLS}")["requests"]
    return requests


def _call(request: Mapping[str, Any]) -> str:
    return f"{request['method']} {request['path']}"


def _result(request: Mapping[str, Any]) -> str:
    fault = f" (fault: {request['fault']})" if request["fault"] else ""
    return f"{_call(request)} -> {request['status']}{fault}"
