"""A page of the console reads in proportion to its own size, however large the tables are.

The benchmark shows this at 1,000 and 100,000 payments; this test uses sizes that take seconds. The smaller one has a
payment on each day of its year, so that the page of one day has rows at any hour.
"""

from tests.tables import read_capacity

SMALL, LARGE = 400, 1_600


def test_no_console_view_reads_more_of_a_larger_table(dynamodb_local_url: str) -> None:
    figures = read_capacity.measure(dynamodb_local_url, [SMALL, LARGE])
    small, large = figures[SMALL], figures[LARGE]
    views = [name for name in small if not name.endswith("not cached")]
    assert len(views) > 35
    assert {
        name: (small[name], large[name]) for name in views if not read_capacity.flat(small[name], large[name])
    } == {}
    whole_pages = [name for name, (_, _, rows) in large.items() if rows == 20]
    assert {name for name in whole_pages if large[name][0] > 50} == set()
    grows = "counts of a year, not cached"
    assert not read_capacity.flat(small[grows], large[grows]), "growth would not be noticed"


def test_a_view_that_reads_more_of_a_larger_table_is_not_flat() -> None:
    assert read_capacity.flat((40, 3, 20), (42, 4, 20))
    assert read_capacity.flat((8, 3, 4), (40, 3, 20)), "a partly filled page costs as much per row"
    assert not read_capacity.flat((40, 3, 20), (60, 3, 20))
    assert not read_capacity.flat((40, 3, 20), (40, 9, 20))
    assert not read_capacity.flat((2, 2, 0), (20, 2, 0))
