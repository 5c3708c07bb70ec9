"""Which rows and passages say the same: they are never negatives of each other."""

import numpy as np

from hbr.data.rows import Rows


def same_labels(rows: Rows, hashes: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of rows (rows,) and items of passages (items,), equal where they say the same.

    A row says the same as its passage, as the rows of its group, and as rows with its query, for
    the passages of these answer it; passages do that share a text in any two languages, perhaps by
    way of others. `hashes` are those of the texts of every cell, by role.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, items = len(rows), len(rows.passages.has)
    row = np.arange(count)
    query_item = np.repeat(np.arange(len(rows.queries.has)), np.diff(rows.queries.start))
    item = np.repeat(np.arange(items), np.diff(rows.passages.start))
    kinds = [  # (nodes that say something, what they say)
        (row, np.asarray(rows.group)),
        (count + item, hashes["passage"]),
        (count + items + query_item, hashes["query"]),
    ]
    links = [
        np.stack([row, count + np.asarray(rows.passage_of)]),
        np.stack([row, count + items + np.asarray(rows.query_of)]),
    ]
    nodes = count + items + len(rows.queries.has)
    for speakers, said in kinds:
        _, what = np.unique(said, return_inverse=True)
        links.append(np.stack([speakers, nodes + what]))
        nodes += int(what.max(initial=-1)) + 1
    ends = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(ends.shape[1], np.int8), tuple(ends)), shape=(nodes, nodes))
    label = connected_components(graph, directed=False)[1]
    return label[:count], label[count : count + items]
