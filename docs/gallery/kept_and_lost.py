"""What was kept and what was lost

Two dates of one world laid over each other.

Picture: ice of a made range in three colors: kept, lost along the tongues and the borders, and hardly any
gained
"""

import glacierlab as gl

world = gl.synthetic_world(seed=40, years=[1990, 2020], shape=(240, 240))
found = gl.change.agreement(world.outlines(1990), world.outlines(2020))
figure = gl.viz.change_figure(found.map, ("1990", "2020"), title="made world 40")
