"""Change: area and its error, differences, series and trends, glaciers followed through time."""

from ..lazy import lazily

_WHERE = {
    "AreaError": "calibrated",
    "agreement": "agreeing",
    "area_change": "differences",
    "area_distribution": "calibrated",
    "area_series": "dated",
    "area_total": "area",
    "area_uncertainty": "area",
    "assess": "assessing",
    "change_total": "totals",
    "digitizing_error": "digitizing",
    "elevation_change": "elevations",
    "fit_area_error": "calibrating",
    "halves": "elevations",
    "ledger": "totals",
    "regions_of": "grouping",
    "series_total": "totals",
    "terminus_change": "terminus",
    "track": "tracking",
    "trend": "trends",
}  # public name → module, loaded when it is used

__getattr__, __dir__, __all__ = lazily(__name__, _WHERE)
