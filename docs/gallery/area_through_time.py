"""Area through time, with its error

Areas at six dates with half a pixel along the border as error, which is a bound and no interval, and the
line through them.

Picture: above, the area of all glaciers, which falls from date to date, with vertical bars of error; below,
the areas of the six largest glaciers
"""

import glacierlab as gl

world = gl.synthetic_world(seed=40, years=range(1995, 2021, 5), shape=(200, 200))
dates = {f"{year}-09-15": gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years}
series = gl.area_series(dates, by="glac_id", total="linear", missing="vanished")
figure = gl.viz.series_figure(series, gl.trend(series))
