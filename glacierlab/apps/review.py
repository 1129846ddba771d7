"""Review of outlines by an analyst: a queue, decisions and edits, an audit trail; no screen needed."""

from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import numpy as np
import pandas as pd

from ..errors import InventoryError, require_outlines, warn
from .acts import Acts, legible, utc_now
from .doubts import expected_area_error
from .editing import REJECTED, Sheet, flaw_of
from .journal import Journal, act_of, removed
from .labeling import KEPT, labeled, patches_of
from .recording import Record
from .rows import UNTRUE, as_now, ids_of, names_of, rows_of
from .saving import GeoPackage
from .trail import TRAIL

__all__ = ["Review", "expected_area_error"]


class Review(Acts):
    """Outlines that an analyst accepts, edits or rejects, one after the other.

    The caller's table is not changed. Every act is a line in `trail` and, at once, in a journal beside the
    file, from which `recover` brings back what a killed session did; `save` writes to the GeoPackage.

    Parameters
    ----------
    outlines : geopandas.GeoDataFrame
        Polygons in any CRS, which is that of all geometries given here. Ids are what the first of review_id,
        rgi_id, glims_id, glac_id, glacier_id, local_id, glac_name holds that names every row once, else row
        numbers, as text. What earlier reviews decided (`review_status`) counts.
    analyst : str
        Who decides: the name in the trail. `review.analyst` may be changed.
    doubt : sequence of float, optional
        Expected area error of each row [km²]; default `expected_area_error(outlines)`.
    path : path, optional
        The GeoPackage that the outlines are a layer of, in any CRS, and that `save` writes to. Outlines that
        were rejected there come into the queue as well.
    layer : str, optional
        The layer; default its first of polygons.
    journal : path, optional
        Folder of the journal; default that of `path`; without both there is none.
    extent : shapely geometry, optional
        Ground of the scene, in the CRS of the outlines: `problems` tells of outlines that leave it.

    Raises
    ------
    InventoryError
        These are no outlines with a CRS, or not those of the layer.
    WriteError
        `path` is no GeoPackage that can be read.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> boxes = [shapely.box(5e5 + x, 5e6, 5e5 + x + 900, 5e6 + 1000) for x in (0, 2000)]
    >>> review = Review(gpd.GeoDataFrame(geometry=boxes, crs="EPSG:32632"), analyst="Ana")
    >>> review.accept("0")
    >>> review.cut("1", shapely.LineString([(502300, 4.9e6), (502300, 5.1e6)]))
    ['1', '1-2']
    >>> review.queue.status.tolist()
    ['accepted', 'edited', 'edited']
    >>> review.undo(), len(review.outlines)
    ('undo cut', 2)
    """

    def __init__(self, outlines, *, analyst="", doubt=None, path=None, layer=None, journal=None, extent=None):
        require_outlines(outlines, "Review")
        self._record, self.analyst, self.extent = None, analyst, extent
        ids, self._id_column = ids_of(outlines)
        self._table = outlines.set_axis(pd.Index(ids, dtype=object))
        self._names, self._built = dict(zip(ids, names_of(outlines), strict=True)), None
        rows = rows_of(outlines, ids)
        file = None if path is None else GeoPackage.of(path, layer, outlines, ids)
        if file is not None:
            rows |= file.rejected()
        folder = journal if journal is not None or path is None else Path(path).parent
        name = "outlines" if path is None else Path(path).name
        journal = None if folder is None else Journal(folder, name, self.analyst)
        self._sheet = Sheet(rows, outlines.crs)
        self._record = Record(rows, outlines.crs, file, journal)
        self._token = token_hex(2)  # in ids of what is drawn, so that no other session gives the same
        doubt = expected_area_error(outlines) if doubt is None else doubt
        self._doubt = dict(zip(ids, np.asarray(doubt, float), strict=True))
        self._order = sorted(rows, key=lambda one: -np.nan_to_num(self._doubt.get(one, 0.0)))
        undecided = (one for one in self._order if not rows[one].status)
        self.current = next(undecided, self._order[0] if self._order else None)

    @property
    def analyst(self):
        """Who decides; journals of killed sessions are looked for under this name."""
        return self._analyst

    @analyst.setter
    def analyst(self, name):
        self._analyst = legible(name)
        if self._record is not None and self._record.journal is not None:
            self._record.journal.analyst = self._analyst

    # ---- the queue ----

    @property
    def queue(self):
        """DataFrame: `id`, `name`, `area_km2`, `expected_error_km2`, `status`; largest expected error first.

        The order stays as it was when the review began: pieces of a cut follow what they were cut from, and
        what is drawn comes last. Both have no expected error (NaN).
        """
        rows, ids = self._sheet.rows, self._ids()
        return pd.DataFrame(
            {
                "id": pd.Series(ids, dtype=object),
                "name": pd.Series([self._names.get(one, "") for one in ids], dtype=object),
                "area_km2": np.array([rows[one].area_km2 for one in ids], float),
                "expected_error_km2": np.array([self._doubt.get(one, np.nan) for one in ids], float),
                "status": pd.Series([rows[one].status for one in ids], dtype=object),
            }
        )

    @property
    def rejected(self):
        """DataFrame of what is rejected, the earliest first: `id`, `area_km2`, `by`, `at`, `reason`."""
        away = [(one, row) for one, row in self._sheet.rows.items() if row.status == REJECTED]
        lines = [(one, row.area_km2, row.by, row.at, row.reason) for one, row in away]
        found = pd.DataFrame(lines, columns=["id", "area_km2", "by", "at", "reason"])
        return found.sort_values("at", kind="stable", ignore_index=True)

    def _ids(self):
        return [one for one in self._order if one in self._sheet.rows]

    def go(self, id):
        """Make an outline the current one."""
        self._sheet.require(id)
        self.current = id
        return id

    def next(self):
        """Go to the next outline that nobody decided on, at the end from the start; stay without one."""
        ids, rows = self._ids(), self._sheet.rows
        at = ids.index(self.current) + 1 if self.current in ids else 0
        self.current = next((one for one in ids[at:] + ids[:at] if not rows[one].status), self.current)
        return self.current

    def previous(self):
        """Go back one in the queue, decided or not; stay at the first."""
        ids = self._ids()
        if self.current in ids:
            self.current = ids[max(0, ids.index(self.current) - 1)]
        return self.current

    # ---- what is there ----

    @property
    def crs(self):
        """The CRS of all geometries here."""
        return self._sheet.crs

    @property
    def path(self):
        """The file that `save` writes to; None of outlines that are of none yet."""
        return None if self._record.file is None else self._record.file.path

    @property
    def ids(self):
        """All ids, those of rejected outlines too, in the order of the table."""
        return [*self._sheet.rows]

    @property
    def classes(self):
        """Names of the classes that the outlines have."""
        return list(dict.fromkeys(row.klass for row in self._sheet.rows.values()))

    def geometry(self, id):
        """The outline as it is now, rejected or not."""
        return self._sheet.require(id).geometry

    @property
    def outlines(self):
        """A new GeoDataFrame of the outlines as they are now: the given rows and order, new ones last.

        Rejected ones are left out. Added are `review_id`, `review_status`, `reviewed_by`, `reviewed_at` and
        `review_reason`. Where an outline was changed, `area_km2`, `cenlon`, `cenlat` and `utm_zone` are
        measured anew, and what else was measured of it (heights, slope, length, shares, uncertainties) is
        missing: `outlines.attributes` and `change.area_uncertainty` measure it again.
        """
        if self._built is None:
            self._built = as_now(self._table, self._sheet.rows, self._id_column)
        return self._built.copy()

    def problems(self, id):
        """What is wrong with an outline: invalid, overlaps (whom, how many m²), outside of `extent`.

        Returns
        -------
        list of str
            Empty where all is well. Overlaps below 1 m², as in `outlines.qa`, are none.
        """
        self._sheet.require(id)
        return self._sheet.problems(id, self.extent)

    @property
    def flaws(self):
        """{id: why it is invalid} of accepted and edited outlines; `labels` leaves them out."""
        kept = {one: row.geometry for one, row in self._sheet.rows.items() if row.status in KEPT}
        return {one: flaw_of(shape) for one, shape in kept.items() if not shape.is_valid}

    @property
    def trail(self):
        """DataFrame, a line an outline and act, the file's earlier ones first.

        `when` (UTC, ISO 8601), `who`, `what`, `id`, `area_before_km2`, `area_after_km2`, `change_km2`,
        `reason`. Areas are geodesic, 0 of an outline that is not (yet, any more) there or rejected: the
        changes of all lines add up to that of the whole inventory. An undo is a line of its own.
        """
        return pd.DataFrame([*self._record.past, *self._record.new], columns=TRAIL)

    @property
    def unsaved(self):
        """How many acts no file holds."""
        return len({(line["when"], line["who"]) for line in self._record.new})

    @property
    def changes(self):
        """{id: status, None of an outline that is no more} of what the next save writes."""
        rows = self._sheet.rows
        return {one: row and row.status for one, row in self._record.changes(rows).items()}

    # ---- what was done ----

    def _noted(self, act, when=None, who=None):
        """Note an act that was done; what it was."""
        for one, row in act.after.items():
            if one not in self._order:
                parent = row.parent if row else None
                at = self._order.index(parent) + 1 if parent in self._order else len(self._order)
                self._order.insert(at, one)
                self._names[one] = self._names.get(parent, "")
        self._built = None
        if self.current not in self._sheet.rows:  # an addition that was undone
            self.current = next((one for one in self._order if one in self._sheet.rows), None)
        self._record.note(act, when or utc_now(), self.analyst if who is None else who)
        return act.what

    # ---- keeping ----

    def save(self, path=None, *, overwrite=()):
        """Write what was done to the GeoPackage; its path.

        Rows that were changed are written where they lie, in one transaction of the database: all or nothing,
        also when the process is killed. Everything else in the file stays as it is: other layers and tables,
        columns, styles, the order of rows, and rows that other sessions changed meanwhile, which come into
        this review. Outlines get `review_status`, `reviewed_by`, `reviewed_at`, `review_reason` (and
        `review_id`, where no column of text names them); where they were changed, `area_km2` and the point
        inside are measured anew, and other measures become missing. Rejected rows move, whole, to the layer
        `review_rejected`, so that nobody takes them for glaciers and nothing is lost. The layer
        `review_trail` grows. The journal is removed.

        Parameters
        ----------
        path : path, optional
            A new GeoPackage: a copy of the reviewed file with the edits, over whatever others did; the review
            goes on there. Default the file that the outlines are of.
        overwrite : sequence of str
            Ids that may go over what another session made of them.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        ReviewConflict
            Another session changed some of the same outlines; it says what to do. Nothing is written.
        WriteError
            The file cannot be written, or is locked; it is as it was, and the journal keeps the edits.
        InventoryError
            There is no file yet, or `path` is there already.

        Warns
        -----
        DataWarning
            Which measures are missing now of how many outlines.
        """
        rows, reshaped = self._sheet.rows, self._record.reshaped(self._sheet.rows)
        whole = lambda: as_now(self._table, rows, self._id_column, rejected=True)
        others = self._record.save(rows, path, overwrite, whole)
        self._sheet.load(others)
        self._order += [one for one in others if one not in self._order]
        self._built = None
        if (gone := sorted(name for name in self._table if name.lower() in UNTRUE)) and reshaped:
            warn(
                f"{'1 outline has' if reshaped == 1 else f'{reshaped} outlines have'} another shape now, and "
                f"what was measured of the old one is missing ({', '.join(gone)}): "
                "gl.outlines.attributes and gl.area_uncertainty measure them again."
            )
        return self._record.file.path

    def take_theirs(self, id):
        """After a conflict: give up an own version for what the file has now (rejected, where it is gone)."""
        row, file = self._sheet.require(id), self._record.file
        if file is None:
            raise InventoryError("These outlines are of no file: nobody else changed them.")
        theirs = file.now(id) or replace(row, status=REJECTED, reason="gone from the file")
        self._record.base[id] = theirs
        self._act("take theirs", {id: theirs})

    @property
    def recoverable(self):
        """How many acts of killed sessions of this analyst and file wait in journals."""
        return sum(len(entries) for _, _, entries in self._record.waiting())

    @property
    def left_by(self):
        """How many acts of killed sessions wait in journals of this file, by analyst."""
        acts = {}
        for _, header, entries in self._record.left():
            if entries:
                analyst = str(header.get("analyst"))
                acts[analyst] = acts.get(analyst, 0) + len(entries)
        return acts

    def recover(self):
        """Do again what a killed session of this analyst did to this file and did not save.

        Returns
        -------
        int
            How many acts. They can be undone, and are in this session's journal now.

        Warns
        -----
        DataWarning
            A journal is of outlines that are others here: it is kept, and nothing of it is done. Or the file
            was changed meanwhile, in other rows than those of the journal, which are done.
        """
        done = 0
        for path, entries in self._record.fitting(self._sheet.rows):
            for entry in entries:
                try:
                    act = act_of(entry, self._sheet.rows, self.crs)
                except InventoryError as error:
                    warn(
                        f"{error} {path} is kept, and what follows is not done: remove it once you are done."
                    )
                    break
                self._noted(self._sheet.again(act), entry["when"], entry["who"])
                done += 1
            else:
                removed(path)
        return done

    def close(self):
        """End the session: what is not saved stays in the journal, for `recover`."""
        if self._record.journal is not None:
            self._record.journal.close()

    # ---- labels ----

    def labels(self):
        """The outlines that an analyst stands for: accepted or edited, and valid.

        Returns
        -------
        geopandas.GeoDataFrame
            `id`, `class`, `area_km2`, `review_status`, `reviewed_by`, `reviewed_at`, for
            `samples.PatchSet.from_scenes`; ground beyond is background there only if all was reviewed.
        """
        return labeled(self._sheet.rows, self.crs)

    def patches(self, scenes, layers=None, *, complete=False, ignore=None, **options):
        """Patches of scenes whose labels are the reviewed outlines.

        What nobody decided on is unknown (255) and trains nothing: ground of undecided outlines always, and
        unless the review is complete all ground that no decided outline covers. Rejected outlines' ground is
        background, where no other outline lies on it.

        Parameters
        ----------
        scenes, layers, **options
            As of `samples.PatchSet.from_scenes`.
        complete : bool
            Whether all that is there was drawn, so that the ground outside is background.
        ignore : optional
            Further places that are unknown.

        Returns
        -------
        PatchSet

        Raises
        ------
        InventoryError
            Nothing is accepted or edited yet.
        """
        return patches_of(self._sheet.rows, self.crs, scenes, layers, complete, ignore, options)
