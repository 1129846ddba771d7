"""Glaciers of one family: those that one divided into, and those that joined."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..change.assessing import DIVIDED
from ..change.tracking import track


def families(found, glaciers):
    """(by the first and the last date, by all dates): for each glacier the number of its family.

    A sum over a part of a family changes where nothing melted: what a glacier loses to another by a split
    comes or goes as a whole.

    Parameters
    ----------
    found : Assessment or None
    glaciers : pandas.Index
        Ids as text.
    """
    if found is None:
        return np.arange(len(glaciers)), np.arange(len(glaciers))
    tables = dict(zip(found.labels, found.inventories, strict=True))
    ends = {label: tables[label] for label in (found.labels[0], found.labels[-1])}
    links = links_of(track(ends).events, tables, found.by)
    steps = links_of(found.events, tables, found.by)
    return numbers_of(links, glaciers), numbers_of([*links, *steps], glaciers)


def links_of(events, tables, by):
    """(id, id) of each event by which glaciers divide or join."""
    events = events[events["event"].isin([*DIVIDED])]
    return [
        tuple(str(tables[row[f"date_{side}"]].loc[row[f"row_{side}"], by]) for side in (1, 2))
        for row in events.to_dict("records")
    ]


def numbers_of(links, glaciers):
    """The number of each glacier's family."""
    places = {name: place for place, name in enumerate(glaciers)}
    pairs = [(places[a], places[b]) for a, b in links if a in places and b in places]
    ends = np.array(pairs, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), tuple(ends)), shape=(len(places), len(places)))
    return connected_components(graph, directed=False)[1]


def whole(own, families):
    """The glaciers of a choice whose family is in it as a whole."""
    return own & ~np.isin(families, families[~own])
