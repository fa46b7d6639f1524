"""The text of `stripe_simulator/COVERAGE.md`: each operation of Stripe's API, and each parameter of those simulated."""

from pathlib import Path

PAGE = Path(__file__).parents[2] / "stripe_simulator" / "COVERAGE.md"
SIMULATED = "simulated"
REFUSED = "refused by name"
PARTLY_REFUSED = "some values refused by name"
OLDER = "simulated, for versions that have it"
TESTS = {
    "effect": ("test_read_params.py", "test_every_accepted_parameter_has_an_effect"),
    "types": ("test_package_types.py", "test_every_operation_returns_the_type_that_the_package_declares"),
    "refused": ("test_package_types.py", "test_unsupported_parameters_are_refused_by_name"),
    "part": ("test_unsupported_paths.py", "test_every_operation_of_the_package_is_simulated_or_refused_by_name"),
    "trigger": ("test_simulator_cli.py", "test_trigger_creates_the_event"),
    "resend": ("test_simulator_cli.py", "test_events_resend_delivers_an_event_again"),
}
"""The file and the name of each test, by the label of its links."""


HEAD = """\
# Coverage

`tests/stripe/make_coverage.py` writes this page, from the types of the `stripe` package {version} and from the answers
of the simulator. Each row links to the test that fails when the row is wrong. The links work in the repository of the
simulator.

- *simulated*: the parameter changes the response, an object, an event or a task. The names of nested parameters follow
  where they differ from it.
- *refused by name*: the answer is 400, and its message names the parameter or the operation.
- *absent*: everything that this page does not list. Stripe's current version does not have it either, but for `/v2`.
  The answer is 400 `parameter_unknown` for a parameter, and 404 for an operation.
- `[name]` is a parameter inside of an object, and `[]` an item of a list. `*` in a path is an id.

Stripe has {count} operations under `/v1` in these types. {own} are simulated, and
[{refused} are refused by name](#operations-that-are-refused-by-name).
"""


def section(operation: str, states: dict[str, str], unsupported: tuple[str, ...]) -> str:
    """Return the section of a simulated operation.

    `states` has the state of each parameter by its pattern. Those of `unsupported` have a test of their own.
    """
    lines = [f"### `{operation}`", ""]
    if not states:
        return "\n".join([*lines, "No parameters. Test: [types].", ""])
    by_param: dict[str, dict[str, str]] = {}
    for pattern, state in states.items():
        by_param.setdefault(pattern.partition("[")[0], {})[pattern] = state
    lines += ["| parameter | state | test |", "| --- | --- | --- |"]
    for param in sorted(by_param):
        labels = sorted({"[refused]" if pattern in unsupported else "[effect]" for pattern in by_param[param]})
        lines.append(f"| `{param}` | {_state(param, by_param[param])} | {' '.join(labels)} |")
    return "\n".join([*lines, ""])


def _state(param: str, states: dict[str, str]) -> str:
    """Return the state of a parameter and its nested ones: the common one, or what differs from `simulated`."""
    if len(set(states.values())) == 1:
        return next(iter(states.values()))
    texts = [SIMULATED] if SIMULATED in states.values() else []
    for other in sorted(set(states.values()) - {SIMULATED}):
        names = sorted({_outermost(pattern, states) for pattern, state in states.items() if state == other})
        texts.append(f"{other}: " + ", ".join(f"`{name.removeprefix(param)}`" for name in names))
    return "; ".join(texts)


def _outermost(pattern: str, states: dict[str, str]) -> str:
    """Return the longest start of a pattern all of whose parameters have its state, itself at the shortest."""
    parts = pattern.replace("[]", "").split("[")
    for count in range(2, len(parts)):
        start = pattern[: _end_of(pattern, count)]
        if {state for other, state in states.items() if other.startswith(start)} == {states[pattern]}:
            return start
    return pattern


def _end_of(pattern: str, count: int) -> int:
    """Return the end of the first parts of a pattern: of 2 in `a[][b][c]` that is the end of `a[][b]`."""
    end = pattern.find("[")
    names = 1
    while names < count:
        end = pattern.index("]", end) + 1
        names += pattern[:end][-2:] != "[]"
    return end


def text(sections: dict[str, str], untyped: list[str], refused: list[str], version: str) -> str:
    """Return the page: the sections of the simulated operations, those of the CLI, and those refused by name."""
    head = HEAD.format(version=version, count=len(sections) + len(refused), own=len(sections), refused=len(refused))
    lines = [
        head,
        "## Simulated operations",
        "",
        *(sections[operation] for operation in sorted(sections, key=_order)),
        "## Operations of the Stripe CLI",
        "",
        "Only the CLI calls these. Stripe's types do not have them.",
        "",
        "| operation | state | test |",
        "| --- | --- | --- |",
        *(
            f"| `{one}` | {SIMULATED} | [{'resend' if 'retry' in one else 'trigger'}] |"
            for one in sorted(untyped, key=_order)
        ),
        "",
        "## Operations that are refused by name",
        "",
        "| operations | state | test |",
        "| --- | --- | --- |",
    ]
    roots: dict[str, list[str]] = {}
    for operation in refused:
        roots.setdefault("/".join(operation.partition(" ")[2].split("/")[:3]), []).append(operation)
    for _, operations in sorted(roots.items()):
        names = ", ".join(f"`{operation}`" for operation in sorted(operations, key=_order))
        lines.append(f"| {names} | {REFUSED} | [part] |")
    links = [f'[{label}]: ../tests/stripe/{file} "{name}"' for label, (file, name) in TESTS.items()]
    return "\n".join([*lines, "", *links, ""])


def _order(operation: str) -> tuple[str, str]:
    """Return the key to sort by: the path, then the method."""
    method, _, path = operation.partition(" ")
    return path, method
