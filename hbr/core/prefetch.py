"""Work that goes on in the background while other work is done."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `function(item)` of each item in order, computed by one thread a result ahead.

    The thread works while the caller uses the last result, and while `items` makes its next item:
    so it also writes behind what is being made. No more than two items are held at a time. Errors
    are raised in their turn.
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(1, "prefetch") as thread:
        for item in items:
            pending.append(thread.submit(function, item))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
