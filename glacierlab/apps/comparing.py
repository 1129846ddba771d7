"""Two inventories of one ground: what both have, and what one misses, as a table and on the map."""

from ..change.agreeing import agreement
from ..change.digitizing import digitizing_error
from .judging import ICE

MAPPED_BY = {"both": "#3d9be9", "ours": "#ff9d00", "other": "#e8308a"}  # as hit, false and miss in a judgment
COLUMNS = {
    "status": "", "ours": "ours", "other": "theirs", "area_ours_km2": "our km²",
    "area_other_km2": "their km²", "difference_pct": "Δ %", "iou": "IoU",
}  # fmt: skip
FORMATS = {"area_ours_km2": "0.000", "area_other_km2": "0.000", "difference_pct": "+0.0", "iou": "0.000"}
WIDTHS = {"area_ours_km2": 70, "area_other_km2": 76, "difference_pct": 54, "iou": 50}
DRAWN = {
    "glacier": "outline", "area_km2": "km²", "sd_pct": "sd %", "distance_mean_m": "mean m",
    "distance_p95_m": "95 % m",
}  # fmt: skip
DRAWN_FORMATS = {"area_km2": "0.000", "sd_pct": "0.0", "distance_mean_m": "0.0", "distance_p95_m": "0.0"}


class Comparison:
    """Two inventories compared, and how it is told; see `change.agreement`.

    Parameters
    ----------
    ours, other : geopandas.GeoDataFrame
        In any CRS; where a column `class` says what they are, ice only counts.
    names : (str, str)
        What they are called.

    Attributes
    ----------
    agreement : Agreement
    """

    def __init__(self, ours, other, names=("ours", "other")):
        if name := next((name for name in ("called", "review_id") if name in ours), None):
            ours = ours.set_index(name)  # as the queue calls them, where they have no other ids
        self.names, self._sides = names, (ice_of(ours), ice_of(other))
        self.agreement = agreement(*self._sides)

    def digitized(self):
        """Both taken for outlines of the same glaciers and date by two people: `change.digitizing_error`."""
        return digitizing_error(dict(zip(self.names, self._sides, strict=True)))

    def shown(self):
        """The rows of the agreement's `matches` in few columns, those with most area first."""
        return self.agreement.matches[list(COLUMNS)]

    def colored(self):
        """The map's polygons with a column `color` and what `mapped_by` says in the inventories' names."""
        ground = self.agreement.map
        told = {"both": "both", "ours": f"{self.names[0]} only", "other": f"{self.names[1]} only"}
        return ground.assign(color=ground.mapped_by.map(MAPPED_BY), mapped_by=ground.mapped_by.map(told))

    def told(self):
        """One line: shared ground, and the difference of the areas."""
        total = self.agreement.total
        ours, other = self.names
        return (
            f"IoU {total['iou']:.3f}; {ours} {total['area_ours_km2']:.2f} km², {other} "
            f"{total['area_other_km2']:.2f} km² ({total['difference_pct']:+.1f} %); "
            f"{total['matched']} matched, {total['missed']} missed, {total['extra']} extra"
        )


def ice_of(outlines):
    """The rows that are ice, where a column `class` says what each is."""
    return outlines[outlines["class"].isin(ICE)] if "class" in outlines else outlines
