"""The INIT of every function in the real Lambda runtime, compared with a minimal function.

The minimal function only creates a botocore DynamoDB client. It is built in the same way: same layer, hash-based
bytecode. Each round starts every function once, in a new process of the runtime interface emulator of `aws-sam-cli`.
The figures are the median INIT of each function, and the median of its ratio to the minimal function in the same round.
The exit code is 1 if a ratio exceeds its limit in `MAX_RATIOS`.

    make bench BENCH=cold_start ARGS="--rounds 15"

`--before DIR` names the build (`.aws-sam/build`) of an earlier checkout. Its functions start alternately with ours, and
every second round runs in the opposite order. The duration of an INIT varies by 20 % on a shared machine. So each round
also imports each function in a process of its own, and measures the processor time. A function exceeds its limit if the
median of that grew by more than 5 % and by more than 10 ms.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from local import lambda_runtime
from local.build import BUILT, compile_bytecode

MINIMAL = """\
import botocore.session

client = botocore.session.get_session().create_client("dynamodb")


def handler(event, context):
    return {}
"""
READS = dict.fromkeys(("payment_status", "my_payments", "payment_methods", "enrollments"), 1.45)
MAX_RATIOS = {"webhook": 1.25, **READS, "create_payment": 1.75, "create_checkout_session": 1.75}
"""The largest allowed ratio to the minimal function, for the functions that have a limit."""
MAX_GROWTH = 1.05
MAX_GROWTH_MS = 10.0
BEFORE = "before: "
IMPORT = "import: "
HEADER = "INIT: the median of the rounds; the median of its ratios to the minimal function of the same round"


def measure(rounds: int, before: Path | None = None) -> dict[str, list[float]]:
    """Return the INIT durations of each function, in ms, one per round; those of an earlier build under `before: `.

    With an earlier build also the processor time of each import, in ms, under `import: ` in front of the name.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "minimal.py").write_text(MINIMAL)
        compile_bytecode(Path(folder))
        code = {"minimal": (Path(folder), BUILT)}
        for name, path in lambda_runtime.functions().items():
            code[name] = (path, BUILT)
            if before and (earlier := lambda_runtime.functions(before)[name]).exists():
                code[BEFORE + name] = (earlier, before)
        durations: dict[str, list[float]] = {name: [] for name in code}
        for number in range(rounds + 1):
            for name, (path, built) in list(code.items())[:: -1 if number % 2 else 1]:
                duration = lambda_runtime.init_ms(name.removeprefix(BEFORE), path, built)
                if number:  # the first round fills the page cache
                    durations[name].append(duration)
                    if before:
                        cpu = lambda_runtime.import_cpu_ms(name.removeprefix(BEFORE), path, built)
                        durations.setdefault(IMPORT + name, []).append(cpu)
    return durations


def report(durations: dict[str, list[float]]) -> tuple[str, bool]:
    """Return a line per function, and whether every limit is met."""
    lines, all_met = [], True
    for name, values in durations.items():
        if name.startswith(IMPORT):
            continue
        ratio = statistics.median(own / base for own, base in zip(values, durations["minimal"], strict=True))
        limit = MAX_RATIOS.get(name)
        verdict = "" if limit is None else f"at most {limit:.2f}: {'met' if ratio <= limit else 'EXCEEDED'}"
        all_met = all_met and (limit is None or ratio <= limit)
        if BEFORE + name in durations:
            own, earlier = (statistics.median(durations[IMPORT + key]) for key in (name, BEFORE + name))
            grew = own > earlier * MAX_GROWTH and own > earlier + MAX_GROWTH_MS
            verdict += f"  import {own:.0f} ms, {own / earlier:.2f} of before: {'GREW' if grew else 'met'}"
            all_met = all_met and not grew
        lines.append(f"{name:24} {statistics.median(values):7.1f} ms  {ratio:5.2f}  {verdict}".rstrip())
    return "\n".join(lines), all_met


def main() -> None:
    """Measure, print the figures, and write them to a file. Exit with 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".txt"), help="the file of the figures")
    parser.add_argument("--before", type=Path, help="the build of an earlier checkout, to compare with")
    options = parser.parse_args()
    lines, all_met = report(measure(options.rounds, options.before))
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = (
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end"
    )
    arguments = f"--rounds {options.rounds}" + (" --before DIR" if options.before else "")
    command = f'$ make bench BENCH=cold_start ARGS="{arguments}"\n{now}, {machine}\n'
    text = f"{command}\n{HEADER}\n{lines}\n"
    print(text, end="")
    options.out.write_text(text)
    sys.exit(not all_met)


if __name__ == "__main__":
    main()
