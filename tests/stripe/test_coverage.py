"""`stripe_simulator/COVERAGE.md` is current. `test_read_params.py` checks the rows of each simulated operation."""

import re

import pytest

from stripe_simulator.params import OPERATIONS
from stripe_simulator.routes import ROUTES
from tests.stripe import coverage_page, make_coverage
from tests.stripe.coverage_page import PARTLY_REFUSED, REFUSED, SIMULATED


def sections() -> dict[str, str]:
    """Return the section of each simulated operation on the page."""
    section = r"^### `(.*?)`\n(.*?\n)\n(?=##)"
    parts = re.findall(section, coverage_page.PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {operation: f"### `{operation}`\n{rows}" for operation, rows in parts}


def test_the_page_is_what_its_generator_writes() -> None:
    assert set(sections()) == set(ROUTES) & set(OPERATIONS)
    assert all(OPERATIONS[operation] for operation in sections())  # test_read_params.py checks these
    assert coverage_page.PAGE.read_text() == make_coverage.text(sections()), (
        "run `python -m tests.stripe.make_coverage`"
    )


@pytest.mark.parametrize("label", coverage_page.TESTS)
def test_the_tests_behind_the_links_exist(label: str) -> None:
    file, name = coverage_page.TESTS[label]
    assert f"def {name}(" in (coverage_page.PAGE.parents[1] / "tests" / "stripe" / file).read_text()
    assert f"[{label}]: ../tests/stripe/{file} " in coverage_page.PAGE.read_text()


def test_a_row_names_the_nested_parameters_that_differ() -> None:
    states = {
        "a": SIMULATED,
        "b[c]": SIMULATED,
        "b[d][e]": REFUSED,
        "b[d][f]": REFUSED,
        "b[g][h]": REFUSED,
        "b[g][i]": SIMULATED,
        "j[][k][l]": REFUSED,
        "j[][k][m]": REFUSED,
        "j[][n]": PARTLY_REFUSED,
        "o": REFUSED,
        "p[q]": REFUSED,
        "p[r]": REFUSED,
    }
    text = coverage_page.section("POST /v1/x", states, ("o",))
    assert text.splitlines()[4:] == [
        "| `a` | simulated | [effect] |",
        "| `b` | simulated; refused by name: `[d]`, `[g][h]` | [effect] |",
        "| `j` | refused by name: `[][k]`; some values refused by name: `[][n]` | [effect] |",
        "| `o` | refused by name | [refused] |",
        "| `p` | refused by name | [effect] |",
    ]
    assert coverage_page.section("GET /v1/x", {}, ()).splitlines()[2] == "No parameters. Test: [types]."
