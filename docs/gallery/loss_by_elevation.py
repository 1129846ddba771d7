"""Where on the mountain ice was lost

Area by elevation at two dates, the loss between them filled.

Picture: two curves of area against elevation; between them a filled area, widest at the lower end
"""

import glacierlab as gl

world = gl.synthetic_world(seed=40, years=[1990, 2020], shape=(240, 240))
bands = gl.change.elevation_change(
    world.outlines(1990), world.outlines(2020), world.truth(2020).elevation, by="glac_id"
)
figure = gl.viz.hypsometry_figure(bands, ("1990", "2020"))
