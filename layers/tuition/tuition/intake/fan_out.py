"""Plan the reconciler's tasks, perform them, and wait for those that its workers perform.

There is one path: a run plans tasks, tells the workers about them, and takes tasks itself until none is left. Without
workers, or if every message is lost, it performs all of them. Only a run, which holds the lease of all runs, plans
tasks and moves cursors. A cursor moves only past windows that are finished, one after another.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from tuition import clock, retry
from tuition.intake import task_queue, walk
from tuition.intake.walk import Run
from tuition.storage import cursors, tasks
from tuition.storage.tasks import Task

FEW_TASKS = 4
"""A run performs so few tasks itself, without a message."""
MAX_WINDOWS = 2_000
"""Windows that a walk plans at most ahead of its cursor. A longer range continues when these are finished."""
MAX_CHUNKS = 1_000
"""Tasks with payments of one kind. More payments wait for the next run, and count as its backlog."""
SLOTS_PER_READ = 100

Perform = Callable[[Run, Task], bool]
"""Performs a task, and returns whether it is finished."""


def tell_workers(planned: Iterable[Task]) -> bool:
    """Send the names of these tasks to the workers. Return whether all were sent; a few need no worker."""
    names = [task.name for task in planned]
    return len(names) > FEW_TASKS and task_queue.send(names)


class Work:
    """The tasks of one run: which are finished, and which it has tried itself."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.finished: set[str] = set()
        self._tried: set[str] = set()

    def perform(self, planned: Iterable[Task], act: Perform, floor_s: float = walk.RESERVE_S) -> None:
        """Perform each task that no worker holds, as long as more than `floor_s` seconds remain."""
        for task in planned:
            if task.name not in self.finished:
                if self.run.remaining() < floor_s:
                    self.run.done = False
                    return
                self._try(task, act)

    def wait(self, planned: Iterable[Task], act: Perform) -> None:
        """Wait for the tasks that others hold, and perform those that they give up. Each is tried here once."""
        pending = [task for task in planned if task.name not in self.finished | self._tried]
        for _ in retry.attempts(retry.TASK_WAIT):
            clock.start_deadline()
            stored = tasks.read_states(task.name for task in pending)
            for task in pending:
                current = stored.get(task.name)
                if current and current.report is not None:
                    self._add(task, current.report)
                elif current and not current.is_held:
                    self.perform([task], act)
            pending = [task for task in pending if task.name not in self.finished | self._tried]
            if not pending:
                return
            if self.run.remaining() < walk.RESERVE_S:
                break
        self.run.done = False

    def load(self, name: str) -> tasks.StoredTask | None:
        """Read a task that an earlier run planned. If it is finished, add its report."""
        stored = tasks.read([name]).get(name)
        if stored and stored.report is not None:
            self._add(stored.task, stored.report)
        return stored

    def _add(self, task: Task, report: dict[str, object]) -> None:
        self.finished.add(task.name)
        self.run.add(report)
        if report:
            tasks.clear_report(task)

    def _try(self, task: Task, act: Perform) -> None:
        clock.start_deadline()
        claimed = tasks.claim(task.name, self.run.remaining())
        if claimed is None:
            return  # another holds it or has finished it: `wait` reads which
        self._tried.add(task.name)
        is_finished = False
        try:
            is_finished = act(self.run, claimed.task)
            if is_finished:
                tasks.finish(claimed, {})
                self.finished.add(task.name)
        finally:
            if not is_finished:
                tasks.release(claimed)


class Walk:
    """A walk with the windows that are planned and not yet behind its cursor, oldest first.

    Each window begins where the one before it ends, so that the cursor leads from one to the next. An earlier run may
    have planned some of them, and workers may have finished them since.
    """

    def __init__(self, work: Work, name: str, position: int) -> None:
        self.work, self.name, self.position = work, name, position
        self.windows: deque[Task] = deque()
        clock.start_deadline()
        while len(self.windows) < MAX_WINDOWS:
            stored = work.load(tasks.window_name(name, self.end))
            if stored is None or stored.task.after <= self.end:
                break
            self.windows.append(stored.task)
            clock.start_deadline()
        self.advance()
        self.has_leftover = bool(self.windows)
        """Whether windows of an earlier run are unfinished. Some may have been walked when they were too young."""

    @property
    def end(self) -> int:
        """How far windows are planned, in epoch seconds."""
        return self.windows[-1].after if self.windows else self.position

    def advance(self) -> None:
        """Move the cursor past the windows that are finished, up to the first that is not.

        The item of a window is removed first. If the run dies before the cursor has moved, the window is planned again.
        """
        while self.windows and self.windows[0].name in self.work.finished:
            window = self.windows.popleft()
            clock.start_deadline()
            tasks.remove(window)
            self._move(window.after)

    def skip_to(self, position: int) -> None:
        """Move the cursor on, if it is not there yet: nothing before this position needs this walk."""
        if position > self.position:
            clock.start_deadline()
            self._move(position)

    def _move(self, position: int) -> None:
        cursors.advance(self.name, position)
        self.position = position

    def plan(self, last: int) -> list[Task]:
        """Plan windows from `end` to `last`, and return them. Time in which Stripe lists nothing needs none."""
        first = reached = self.end
        room = MAX_WINDOWS - len(self.windows)
        bounds: list[tuple[int, int]] = []
        while reached < last and len(bounds) < room:
            self.work.run.check_time()
            until = min(reached + max(walk.SURVEY_S, walk.WINDOW_S), last)
            bounds += walk.windows(reached, until)
            reached = until
        if reached == first:
            return []
        if len(bounds) > room:  # the next run can load no more, and would plan the others again while they are held
            reached = bounds[room][0]
            bounds = bounds[:room]
        if self.windows:  # the first window begins where the last one ends, although Stripe may list nothing there
            bounds = [(first, bounds[0][1]), *bounds[1:]] if bounds else [(first, reached)]
        else:
            clock.start_deadline()
            self._move(bounds[0][0] if bounds else reached)
        starts = [start for start, _ in bounds[1:]]
        planned = [
            tasks.window(self.name, start, end, after)
            for (start, end), after in zip(bounds, [*starts, reached], strict=False)
        ]
        for number, task in enumerate(planned):
            clock.start_deadline()
            if not tasks.store(task):
                return planned[:number] + self._load_held(task.name)
            self.windows.append(task)
        return planned

    def _load_held(self, name: str) -> list[Task]:
        """Read a window that a worker holds. An earlier run planned it, and the bounds that it has now count."""
        stored = self.work.load(name)
        if stored is None:
            return []
        self.has_leftover = True
        self.windows.append(stored.task)
        return [stored.task]


def perform_window(run: Run, task: Task) -> bool:
    """Walk the window of a task. It is not finished if Stripe or a table did not answer for a part of it."""
    unanswered = run.unanswered
    run.check_time()
    walk.walk_window(run, task.first, task.last)
    return run.unanswered == unanswered


class Chunks:
    """The tasks in which a run plans the payments, or the plans, of one kind.

    Their items are used again by the next run, except one that a worker still holds. `leftover` has those that an
    earlier run planned and that are still unchecked. The report of a worker that finished after the end of its run is
    added.
    """

    def __init__(self, run: Run, kind: str, size: int, of: Literal["payments", "plans"] = "payments") -> None:
        self._kind, self._size, self._of = kind, size, of
        self.planned: list[Task] = []
        self.unplanned = 0
        self._held: set[str] = set()
        self.leftover: set[str] = set()
        held_ids: set[str] = set()
        for numbers in itertools.batched(range(MAX_CHUNKS), SLOTS_PER_READ, strict=False):
            stored = tasks.read(map(self._name, numbers))
            for name, one in stored.items():
                self.leftover.update(one.task.ids if one.report is None else ())
                if one.report:
                    clock.start_deadline()
                    run.add(one.report)
                    tasks.clear_report(one.task)
                if one.is_held:
                    self._held.add(name)
                    held_ids.update(one.task.ids)
            if not stored:
                break
        self._held_ids = held_ids

    def _name(self, number: int) -> str:
        return f"{self._of}:{self._kind}:{number}"

    def plan(self, due: Iterable[str], after: int, max_unplanned: int) -> None:
        """Plan these payments or plans, by their ids, but not those that a worker holds now."""
        ids: Iterator[str] = (one for one in due if one not in self._held_ids)
        names = (name for name in map(self._name, range(MAX_CHUNKS)) if name not in self._held)
        for name in names:
            batch = tuple(itertools.islice(ids, self._size))
            if not batch:
                return
            clock.start_deadline()
            if self._of == "payments":
                task = Task(name, "payments", after=after, payment_ids=batch)
            else:
                task = Task(name, "plans", after=after, plan_ids=batch)
            if tasks.store(task):
                self.planned.append(task)
            else:
                self.unplanned += len(batch)  # a worker has just claimed what an earlier run planned under this name
        self.unplanned += sum(1 for _ in itertools.islice(ids, max_unplanned))
