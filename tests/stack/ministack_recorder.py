"""Run MiniStack and write down each call that a role makes: who, which action, on which resource, and whether it may.

This is a program of `.venv-ministack`, started instead of `local/ministack_program.py` with the path of the file to
write. A call with the rights of the account's root user has no role and is not written. Each different call is one line
of JSON, so a run writes a few hundred lines, and a call costs one look into a set.

MiniStack 1.5 decides every call in `iam_evaluator.enforce`, which evaluates the policies of the caller first.
"""

import contextvars
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from ministack.app import main
from ministack.core import iam_evaluator

from local import ministack_program

_contexts = contextvars.ContextVar("contexts", default=None)
"""The evaluations of the call that is being decided: the first one is about the caller's own policies."""


def record_calls(path):
    """Make MiniStack write every call that it decides."""
    evaluate, enforce = iam_evaluator.evaluate, iam_evaluator.enforce
    written = set()
    output = path.open("a", buffering=1)

    def evaluate_and_remember(context, policies, *limits):
        contexts = _contexts.get()
        if contexts is not None:
            contexts.append(context)
        return evaluate(context, policies, *limits)

    def enforce_and_write(*args, **options):
        token = _contexts.set([])
        try:
            denial = enforce(*args, **options)
            contexts = _contexts.get()
        finally:
            _contexts.reset(token)
        if contexts:
            call = (contexts[0].principal_arn, contexts[0].action, contexts[0].resource_arn, denial is None)
            if call not in written:
                written.add(call)
                output.write(json.dumps(call) + "\n")
        return denial

    iam_evaluator.evaluate, iam_evaluator.enforce = evaluate_and_remember, enforce_and_write


if __name__ == "__main__":
    ministack_program.install()
    record_calls(Path(sys.argv.pop()))
    main()
