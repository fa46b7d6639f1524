"""The pages and the services write an amount alike, in each currency of Stripe's, and by one module each."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.test_texts import run_node
from tuition.core import money
from tuition.core.money import Money

ROOT = Path(__file__).parents[2]
FORMAT = ROOT / "web" / "shared" / "format.js"
AMOUNTS = (0, 1, 5, 10, 99, 100, 101, 999, 1_000, 49_900, 1_234_567, 99_999_999)
WRITTEN = f"""
    const {{ decimal, groupedDecimal, minorUnits, money, moneyWithCode, step, writeFor }} = await import({{url}});
    const number = (text) => text.replaceAll(",", "").match(/\\d[\\d.]*/)[0];
    const rows = [];
    for (const code of {{codes}}) for (const amount of {list(AMOUNTS)}) rows.push([code, amount,
      decimal(amount, code), decimal(-amount, code), groupedDecimal(amount, code), moneyWithCode(amount, code),
      number(money(amount, code)), minorUnits(decimal(amount, code), code),
      minorUnits(decimal(amount, code) + "1", code), step(code)]);
    console.log(JSON.stringify(rows));
"""


def test_the_pages_write_and_read_amounts_as_the_services_do() -> None:
    codes = sorted(money.CURRENCIES)
    rows = run_node(WRITTEN.replace("{url}", json.dumps(FORMAT.as_uri())).replace("{codes}", json.dumps(codes)))
    assert len(rows) == len(codes) * len(AMOUNTS)
    for code, amount, plain, negative, grouped, with_code, for_student, read, too_long, step in rows:
        decimal = Money(amount, code).decimal
        assert plain == decimal and step == money.step(code).amount
        assert negative.replace("−", "-") == Money(-amount, code).decimal.replace("-0", "0", amount == 0)
        assert grouped.replace(",", "") == decimal and with_code == f"{grouped} {code.upper()}"
        assert for_student == decimal, code  # `Intl` alone has other decimals for ISK, UGX, MGA and HUF
        assert read == amount and (too_long is None or Money(amount, code).decimals == 0)


def test_an_amount_that_staff_type_is_read_in_its_currency() -> None:
    typed = {
        ("120", "usd"): 12_000,
        ("120.5", "usd"): 12_050,
        ("120,50", "eur"): 12_050,
        ("120.505", "usd"): None,
        ("120", "jpy"): 120,
        ("120.5", "jpy"): None,
        ("1.5", "kwd"): 1_500,
        ("50", "isk"): 5_000,
        ("-1", "usd"): None,
        ("1e3", "usd"): None,
        ("", "usd"): None,
    }
    code = f"""
        const {{ minorUnits }} = await import({json.dumps(FORMAT.as_uri())});
        console.log(JSON.stringify({json.dumps(list(typed))}.map((one) => minorUnits(...one) ?? null)));
    """
    assert dict(zip(typed, run_node(code), strict=True)) == typed


# --- by one module each ---

BY_HAND = re.compile(
    r"""(?: [/*%]\ *100(?:\.0)?\b(?!\ \*)  # cents of a currency that has hundredths
          | \b100\ *\*[^*]
          | \.2f\b | toFixed\(
          | \b10\ *\*\*\ *[23]\b
          | divmod\(.*,\ *100\)
          | style:\ "currency" )""",
    re.VERBOSE,
)
OTHER_HUNDREDTHS = {
    ("stripe_simulator/control.py", "MAX_COUNT, MAX_SECONDS, DAY_S"),
    ("stripe_simulator/currencies.py", "if amount % 100 and currency in WHOLE_UNIT_PAYOUTS:"),
    ("stripe_simulator/resources/coupons.py", 'Decimal(str(coupon["percent_off"])) / 100'),
    ("tools/capacity.py", "(100 + HEADROOM_PERCENT) / 100"),
    ("tools/capacity.py", "{part.per_purchase:,.2f}"),
    ("web/console/chart.js", "(100 * Math.max(0, value)) / top"),
    ("web/console/overview_charts.js", "Math.round((100 * part) / all)"),
    ("web/shared/format.js", 'style: "currency"'),
}
"""Lines about something else: percent, days, and the functions that write all amounts."""


def test_no_code_writes_or_reads_an_amount_of_money_by_hand() -> None:
    folders = ("functions", "installer", "layers", "local", "stripe_simulator", "tools", "verifier", "web")
    files = [path for folder in folders for ending in ("py", "js") for path in (ROOT / folder).rglob(f"*.{ending}")]
    lines = {
        (str(path.relative_to(ROOT)), line.strip())
        for path in files
        if "vendor" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if BY_HAND.search(line)
    }
    unused = {(file, text) for file, text in OTHER_HUNDREDTHS if not any(is_of(line, file, text) for line in lines)}
    assert not unused, "the list has a line that no file has"
    assert not {line for line in lines if not any(is_of(line, file, text) for file, text in OTHER_HUNDREDTHS)}


def is_of(line: tuple[str, str], file: str, text: str) -> bool:
    return line[0] == file and text in line[1]


@pytest.mark.parametrize(
    "line",
    [
        "price = f\"{order['amount'] / 100:.2f}\"",
        "whole, cents = divmod(abs(amount), 100)",
        "return amount // 100",
        "const text = (amount / 100).toFixed(2);",
        "const cents = Math.round(Number(typed) * 100);",
        "minor = int(typed) * 100",
        "return 100 * int(typed)",
    ],
)
def test_amounts_by_hand_are_recognized(line: str) -> None:
    assert BY_HAND.search(line)
