"""Vectors in shards read as the one array they are."""

import numpy as np

from hbr.retrieval.vectors import ShardedVectors
from tests.retrieval.test_streamed import sharded


def test_shards_read_as_one_array():
    array = np.arange(600.0).reshape(300, 2)
    read = sharded(array)
    assert (len(read), read.shape) == (300, (300, 2))
    assert np.asarray(read).tolist() == array.tolist()
    for chosen in (slice(0, 17), slice(10, 130), slice(119, 121), slice(290, 999), slice(5, 5)):
        assert read[chosen].tolist() == array[chosen].tolist()
    places = np.array([299, 0, 16, 17, 119, 120, 0])
    assert read.take(places).tolist() == array[places].tolist()


def test_a_view_is_that_part_of_the_vectors():
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    vectors = ShardedVectors([rows[:3], rows[3:4], rows[4:]])
    for start in range(9):
        for stop in range(start, 9):
            part = vectors.view(slice(start, stop))
            np.testing.assert_array_equal(part[:], rows[start:stop])
            assert len(part) == stop - start
