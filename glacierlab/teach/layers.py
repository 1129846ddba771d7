"""Lesson 6: verdicts of its exercises, (answer, data…) → what was found and the facts that its text names."""

MUCH = 0.1  # of IoU, from which on a class owes much to a layer, an assumption
HARDLY = 0.2  # share of that loss which is little beside it, an assumption
REPLACED = 0.25  # share of a loss up to which other layers stand in, an assumption


def specialist_layer(answer, table, much, little):
    """A layer (a name) that the class `much` owes much to, and the class `little` hardly anything.

    `table` is one of `gl.importance` by a single method, layer by layer.
    """
    if not isinstance(answer, str):
        return "type", {}
    owed = table.pivot(index="group", columns="class", values="importance")
    if answer not in owed.index:
        return "unknown", dict(layer=answer, choices=", ".join(owed.index))
    first, second = owed.loc[answer, [much, little]]
    facts = dict(layer=answer, much=much, little=little, first=first, second=second)
    if first < MUCH:
        return "idle", facts
    return ("right" if abs(second) <= HARDLY * first else "both"), facts


def replaceable_group(answer, permuted, dropped, name):
    """A group (a name) that a model leans on for a class, and that one trained without it hardly misses.

    `permuted` and `dropped` are tables of `gl.importance`, by one permutation and by "drop_group".
    """
    if not isinstance(answer, str):
        return "type", {}
    permuted, dropped = (
        each[each["class"] == name].set_index("group")["importance"] for each in (permuted, dropped)
    )
    known = [group for group in dropped.index if group in permuted.index]
    if answer not in known:
        return "unknown", dict(group=answer, choices=", ".join(known))
    leans, misses = permuted[answer], dropped[answer]
    facts = dict(group=answer, leans=leans, misses=misses)
    if leans < MUCH:
        return "idle", facts
    return ("right" if misses <= REPLACED * leans else "needed"), facts


def lean_stack(answer, model, lean, patches, name, most, share):
    """At most so many layers (names), with which `lean(layers)` keeps a share of the full model's IoU."""
    from ..judge import confusions, scores_of  # torch loads only when used

    if not isinstance(answer, list | tuple | set) or not all(isinstance(each, str) for each in answer):
        return "type", {}
    layers = list(dict.fromkeys(answer))
    if not 1 <= len(layers) <= most:
        return "many", dict(count=len(layers), most=most)
    if strangers := [layer for layer in layers if layer not in patches.features]:
        return "unknown", dict(strangers=", ".join(strangers), choices=", ".join(patches.features))
    iou = lambda each: scores_of(confusions(each, patches).sum(axis=0), patches.classes)["iou"][name]
    yours, full = iou(lean(layers)), iou(model)
    facts = dict(iou=yours, full=full, percent=100 * yours / full, least=100 * share, name=name)
    return ("right" if yours >= share * full else "poor"), facts


JUDGES = (specialist_layer, replaceable_group, lean_stack)
