"""The board of a sweep: each worker has a line, which it alone writes."""

import multiprocessing

from hbr.experiments.board import WIDTH, Board, Work


def test_each_worker_has_its_line_and_an_empty_one_says_nothing():
    board = Board(multiprocessing.get_context("spawn"), 3)
    board.write(0, 0.25, "hybrid: training: 5 of 20 steps")
    board.write(2, 0.5, "monolingual: encoding")
    board.write(0, 0.75, "hybrid: ranking")
    board.write(2, 0.0, "")
    assert board.read() == [Work(0.75, "hybrid: ranking")]


def test_a_line_too_long_is_cut_also_within_a_letter():
    board = Board(multiprocessing.get_context("spawn"), 1)
    board.write(0, 1.0, "é" * WIDTH)
    assert board.read()[0].text.startswith("éé")
