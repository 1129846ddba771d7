"""Change: area and its error, differences, series and trends, glaciers followed through time."""

from importlib import import_module

_WHERE = {
    "AreaError": "calibrated",
    "agreement": "agreeing",
    "area_change": "differences",
    "area_distribution": "calibrated",
    "area_series": "dated",
    "area_total": "area",
    "area_uncertainty": "area",
    "assess": "assessing",
    "elevation_change": "elevations",
    "fit_area_error": "calibrating",
    "halves": "elevations",
    "terminus_change": "terminus",
    "track": "tracking",
    "trend": "trends",
}  # public name → module, loaded when it is used

__all__ = list(_WHERE)


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)


def __dir__():
    return sorted({*globals(), *__all__})
