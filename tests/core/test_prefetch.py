"""What is computed ahead, or written behind, comes in order, and no further ahead than one."""

import threading

import pytest

from hbr.core.prefetch import prefetch


def test_the_next_result_is_computed_while_the_last_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]

    def square(number: int) -> int:
        begun[number].set()
        return number * number

    found = []
    for number, result in enumerate(prefetch(square, range(3))):
        if number + 1 < 3:
            assert begun[number + 1].wait(10)
        found.append(result)
    assert found == [0, 1, 4]


def test_an_item_is_made_while_the_one_before_is_worked_on() -> None:
    second_is_made = threading.Event()

    def items():
        yield 0
        second_is_made.set()
        yield 1

    def work(item: int) -> bool:
        return second_is_made.wait(10)

    assert list(prefetch(work, items())) == [True, True]


def test_only_two_items_are_held() -> None:
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    results = prefetch(str, items())
    assert next(results) == "0"
    assert made == [0, 1]


def test_an_error_is_raised_in_its_turn() -> None:
    results = prefetch(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_was_begun_is_finished_when_the_items_end_in_an_error() -> None:
    written = []

    def items():
        yield "whole"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(prefetch(written.append, items()))
    assert written == ["whole"]


def test_of_no_items_there_are_no_results() -> None:
    assert list(prefetch(str, [])) == []
