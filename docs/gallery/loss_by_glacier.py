"""Which glaciers lost most

Change of each glacier between two dates; pale where it is within its error.

Picture: horizontal bars of area change for each glacier, ordered by loss, the small ones pale
"""

import glacierlab as gl

world = gl.synthetic_world(seed=40, years=[1990, 2020], shape=(240, 240))
first, second = (gl.area_uncertainty(world.outlines(year), pixel_m=30) for year in world.years)
change = gl.area_change(first, second, years=30, by="glac_id", missing="vanished")
figure = gl.viz.loss_figure(change, title="1990 to 2020")
