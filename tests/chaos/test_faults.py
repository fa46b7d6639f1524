"""Every flow, cut at each of its calls in every way, and the books after whatever helps comes."""

import random
from collections.abc import Callable

import pytest

from tests.chaos.disaster import RESCUES, Rescue, Site, first_seed, points
from tests.chaos.flows import FLOWS
from tests.chaos.wire import FATES, LASTING, Called, Point

pytestmark = pytest.mark.chaos
MOST, LONG = 6, 100
"""Points of a flow in `make test`, two where it makes so many calls; `make soak` takes them all."""
Figure = Callable[[str, object], None]
Choose = Callable[[list[Called]], list[tuple[Point, Rescue]]]


def every(calls: list[Called]) -> list[tuple[Point, Rescue]]:
    return [(point, rescue) for point in points(calls) for rescue in RESCUES]


def drawn(calls: list[Called]) -> list[tuple[Point, Rescue]]:
    """A fate and a rescue for each call, by the seed; another seed draws others."""
    chance = random.Random(f"{[called.name for called in calls]} {first_seed()}")
    found = every(calls)
    chance.shuffle(found)
    by_call = {point.call: (point, rescue) for point, rescue in found}
    most = MOST if len(calls) < LONG else 2
    return [by_call[call] for call in chance.sample(sorted(by_call), min(most, len(by_call)))]


def search(chaos: Site, flow: str, choose: Choose, record_property: Figure) -> None:
    seed, calls = first_seed(), chaos.count(flow)
    chosen = choose(calls)
    for point, rescue in chosen:
        found = chaos.disaster(flow, point, rescue, seed)
        assert not found, f"TUITION_SEED={seed} {flow}: {point} ({calls[point.call].name}), {rescue}: {found}"
    print(f"TUITION_SEED={seed} {flow}: {len(calls)} calls at the wire, {len(chosen)} faults injected")
    record_property("figure", ("crash points injected", len(chosen)))


@pytest.mark.parametrize("flow", FLOWS)
def test_whatever_is_cut_the_books_are_right_in_the_end(chaos: Site, flow: str, record_property: Figure) -> None:
    search(chaos, flow, drawn, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("flow", FLOWS)
def test_every_call_in_every_way_at_full_size(chaos: Site, flow: str, record_property: Figure) -> None:
    search(chaos, flow, every, record_property)


# --- what each fault is ---


@pytest.mark.parametrize("fate", FATES)
def test_a_fault_is_what_it_says(chaos: Site, fate: str) -> None:
    """At the one call that makes a refund: whether it was done, and whether the invocation lived to answer."""
    calls = [called.name for called in chaos.count("refund: a part, by staff")]
    place = calls.index("POST /v1/refunds")
    lasts = fate in LASTING
    with chaos.fresh() as w:
        case = chaos.prepare(w, "refund: a part, by staff")
        ended = chaos.invoke(w, case, Point(place, fate, lasts))  # type: ignore[arg-type]
        done = len(w.stripe.account.store.objects.get("refund", {}))
        assert len(chaos.gate.late) == (fate == "late")
        chaos.gate.make_late()
        assert len(w.stripe.account.store.objects.get("refund", {})) == done, "one key, one refund"
    assert chaos.gate.hit
    assert done == (0 if fate in ("kill before", "drop before", "error", "throttle") else 1), ended
    assert (ended.answer is None) == fate.startswith("kill")
    assert ended.status == (
        None if fate.startswith("kill") else 200 if not lasts else 503 if fate == "throttle" else 502
    )


def test_the_wire_counts_what_was_called_and_nothing_is_listed_by_hand(chaos: Site) -> None:
    """A create costs what DESIGN §11 says: one read, one call (and one for the customer), one transaction."""
    assert [called.name for called in chaos.count("create")] == [
        *("BatchGetItem", "POST /v1/customers", "POST /v1/payment_intents", "TransactWriteItems")
    ]
