"""Lesson 11: verdicts of its exercises."""

import numpy as np

from .answers import as_number

AS_NEAR = 0.01  # share by which an answer may be off, an assumption


# ---- one function an exercise: (answer, data…) → what was found, and the facts that its text names


def shared_address(answer, dashboard, size, verdict):
    """The query of an address (text) that shows just the glaciers of a size [km²] with a verdict."""
    if not isinstance(answer, str):
        return "type", {}
    from ..apps.filtering import Filter

    opened = view_of(answer, dashboard)
    if opened.notes:
        return "unread", dict(note=opened.notes[0])
    shown, every = opened.chosen, len(opened.glaciers)
    asked = Filter(size=size, verdict=verdict).passes(opened.glaciers)
    facts = dict(shown=int(shown.sum()), asked=int(asked.sum()), every=every)
    if (shown == asked).all():
        return ("right" if set(opened.filter.is_set) >= {"size", "verdict"} else "by_name"), facts
    if not opened.filter.is_set:
        return "all", facts
    extra, missing = int((shown & ~asked).sum()), int((asked & ~shown).sum())
    return ("extra" if extra else "missing"), facts | dict(extra=extra, missing=missing)


def view_of(address, dashboard):
    """A dashboard on the same story, as an address or the end of one opens it."""
    from ..apps import Dashboard  # panel loads only when used

    return Dashboard(dashboard.story, address.partition("?")[2] if "?" in address else address)


def sure_together(answer, dashboard, least):
    """An address (text) of so many glaciers, none of which has changed for sure, but all of them together."""
    if not isinstance(answer, str):
        return "type", {}
    opened = view_of(answer, dashboard)
    if opened.notes:
        return "unread", dict(note=opened.notes[0])
    sure = opened.glaciers.loc[opened.chosen, "significant"].astype("boolean").fillna(True)
    facts = dict(shown=len(sure), sure=int(sure.sum()), least=least)
    if sure.any():
        return "sure", facts
    if len(sure) < least:
        return "few", facts
    total = opened.totals.query("group == 'total'").set_index("errors_summed")
    own, linear = total.loc["root-sum-square"], total.loc["linear"]
    facts |= dict(loss=own["loss_km2"], error=own["loss_unc_km2"], linear=linear["loss_unc_km2"])
    return ("right" if own["significant"] else "unsure"), facts


def hidden_losses(answer, table, truth):
    """How many glaciers of a table, not significant by it, have lost ice by the truth [km²] all the same."""
    number = as_number(answer)
    if number is None or number != int(number) or number < 0:
        return "type", {}
    unsure = ~table["significant"].astype("boolean").fillna(True).to_numpy(bool)
    lost = (truth.reindex(table.index) > 0).to_numpy()
    found, facts = int((unsure & lost).sum()), dict(number=int(number), unsure=int(unsure.sum()))
    facts |= dict(found=found, every=len(table))
    if number == found:
        return "right", facts
    if number == unsure.sum():
        return "all_unsure", facts
    return ("all_lost" if number == lost.sum() else "off"), facts


def error_of_sum(answer, table):
    """Error [km²] of the loss of all glaciers of a table, if each errs its own way; a number."""
    number = as_number(answer)
    if number is None:
        return "type", {}
    errors = table["loss_unc_km2"].dropna().to_numpy()
    root, added = float(np.sqrt((errors**2).sum())), errors.sum()
    facts = dict(number=number, root=root, added=added, count=len(errors), loss=table["loss_km2"].sum())
    others = [("right", root), ("added", added), ("square", root**2), ("mean", errors.mean())]
    for finding, value in others:
        if abs(number - value) <= AS_NEAR * value:
            return finding, facts
    return "off", facts


JUDGES = (hidden_losses, shared_address, error_of_sum, sure_together)
