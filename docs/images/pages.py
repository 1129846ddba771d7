"""Tables that scripts write into pages, between the marks `<!-- name -->` and `<!-- end -->`."""

import re


def markdown(table):
    rows = [table.columns, ["---"] * table.shape[1], *table.to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def replaced(page, tables):
    """The page with its tables made anew."""
    for name, table in tables.items():
        text = table if isinstance(table, str) else markdown(table)
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(pattern, lambda m, text=text: f"{m[1]}{text}\n{m[2]}", page, flags=re.DOTALL)
        assert count == 1, name
        print(f"\n{name}\n{text}")
    return page
