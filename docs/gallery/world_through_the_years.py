"""A world that loses its ice

A made landscape at three dates. Pink are the outlines of the first, yellow those of the year.

Picture: three pictures of one made range in 1950, 2000 and 2030; the yellow outlines shrink inside the pink
ones
"""

import glacierlab as gl

world = gl.synthetic_world(seed=1, years=[1950, 2000, 2030], shape=(240, 240))
figure = gl.viz.world_figure(world)
