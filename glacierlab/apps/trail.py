"""The audit trail of a reviewed GeoPackage: a layer without geometry, a line an outline and act."""

from .geopackage import quoted, register

TRAIL = ["when", "who", "what", "id", "area_before_km2", "area_after_km2", "change_km2", "reason"]
TRAIL_LAYER = "review_trail"


def lines_of(db):
    """The trail of a file, the oldest first."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [TRAIL_LAYER]).fetchone():
        return []
    query = f"SELECT {', '.join(map(quoted, TRAIL))} FROM {TRAIL_LAYER} ORDER BY fid"
    return [dict(zip(TRAIL, values, strict=True)) for values in db.execute(query)]


def after_others(lines, theirs):
    """Lines, with one more where others changed the same outline meanwhile: what they did is taken back.

    The changes of the whole trail then add up to that of the inventory, as neither came after the other.
    """
    taken, found = {}, []
    for line in theirs:
        taken[line["id"]] = taken.get(line["id"], 0.0) + (line["change_km2"] or 0.0)
    for line in lines:
        if km2 := taken.pop(line["id"], 0.0):
            before = line["area_before_km2"]
            areas = {"area_before_km2": before + km2, "area_after_km2": before, "change_km2": -km2}
            found.append(line | areas | {"what": "another session's taken back", "reason": ""})
        found.append(line)
    return found


def add_lines(db, lines):
    """Add to the trail."""
    if not lines:
        return
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [TRAIL_LAYER]).fetchone():
        kinds = {name: "REAL" if name.endswith("_km2") else "TEXT" for name in TRAIL}
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in kinds.items())
        db.execute(f"CREATE TABLE {TRAIL_LAYER} (fid INTEGER PRIMARY KEY, {columns})")
        register(db, TRAIL_LAYER, "attributes")
    marks = ", ".join("?" * len(TRAIL))
    names = ", ".join(map(quoted, TRAIL))
    rows = [[line[name] for name in TRAIL] for line in lines]
    db.executemany(f"INSERT INTO {TRAIL_LAYER} ({names}) VALUES ({marks})", rows)
