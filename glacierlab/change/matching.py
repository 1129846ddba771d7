"""Which column says that two rows of two tables are one glacier."""

from ..errors import InventoryError
from ..io import schemas

ID_COLUMNS = (*schemas.ID_COLUMNS, "glacier")


def id_column(tables, by=None):
    """The column that names the glaciers of several tables, each glacier once a table.

    Parameters
    ----------
    tables : sequence of pandas.DataFrame
        Inventories, two or more.
    by : str, optional
        The column. By default the first of `ID_COLUMNS` that every table has, filled in every row.

    Returns
    -------
    str

    Raises
    ------
    InventoryError
        No such column, a row without an id, or an id that is there twice.
    """
    column = shared_column(tables, by)
    for number, table in enumerate(tables, 1):
        ids = table[column]
        if twice := ids[ids.duplicated()].unique().tolist():
            raise InventoryError(
                f"{column!r} names {len(twice)} glaciers more than once in table {number}: {some(twice)}. "
                "Merge their parts or drop all but one row, or name another column with by=."
            )
    return column


def shared_column(tables, by=None):
    """A column with an id in every row of every table, where ids may repeat; see `id_column`."""
    shared = [name for name in ID_COLUMNS if all(name in table for table in tables)]
    for column in shared if by is None else [by]:
        lacking = [number for number, table in enumerate(tables, 1) if column not in table]
        if lacking:
            raise InventoryError(
                f"Table {lacking[0]} has no column {column!r}, but {list(tables[lacking[0] - 1].columns)}: "
                "name the one that identifies a glacier with by=."
            )
        empty = [int(is_missing(table[column]).sum()) for table in tables]
        if not any(empty):
            return column
    if by is not None or shared:
        raise InventoryError(
            f"{column!r} is empty in {max(empty)} rows of table {empty.index(max(empty)) + 1}: fill it in, "
            "drop them, or name another column with by=. change.track follows glaciers without ids."
        )
    raise InventoryError(
        f"The tables share none of the columns that name a glacier ({', '.join(ID_COLUMNS)}): say which one "
        "does with by=, or follow the glaciers by where they lie with change.track."
    )


def is_missing(values):
    """Where a column says nothing: missing, or blank text."""
    return values.isna() | (values.astype(str).str.strip() == "")


def some(names, most=5):
    """The first few names, for a message."""
    return ", ".join(map(repr, names[:most])) + (", …" if len(names) > most else "")
