"""Writes `stripe_simulator/COVERAGE.md`. It calls each operation with and without each parameter, in about a minute.

python -m tests.stripe.make_coverage
"""

import stripe

from stripe_simulator.params import OPERATIONS
from stripe_simulator.routes import ROUTES
from stripe_simulator.unsupported_params import UNSUPPORTED_PARAMS
from tests.stripe import coverage_page, test_read_params
from tests.stripe.test_unsupported_paths import operations_of_the_package


def text(sections: dict[str, str]) -> str:
    """Return the text of the page with these sections of simulated operations."""
    untyped = sorted(set(ROUTES) - set(OPERATIONS))
    refused = [one for one in operations_of_the_package() if one not in ROUTES]
    return coverage_page.text(sections, untyped, refused, stripe.VERSION)


def section(operation: str) -> str:
    """Return the section of an operation, by calling it."""
    states = test_read_params.states(operation)
    return coverage_page.section(operation, states, UNSUPPORTED_PARAMS.get(operation, ()))


if __name__ == "__main__":
    coverage_page.PAGE.write_text(text({one: section(one) for one in sorted(set(ROUTES) & set(OPERATIONS))}))
    print(f"{coverage_page.PAGE.name}: {coverage_page.PAGE.stat().st_size} bytes")
