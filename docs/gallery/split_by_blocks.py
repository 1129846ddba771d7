"""A split that keeps ground together

Patches dealt out by blocks, with a strip left out between the parts, so that no patch of the test has a
neighbor or a glacier in common with the training.

Picture: squares on a made scene in three colors, in large blocks with empty strips between them
"""

import glacierlab as gl

world = gl.synthetic_world(seed=1, years=[2000], shape=(320, 320))
scene, outlines = world.scene(2000), world.outlines(2000)
patches = gl.samples.PatchSet.from_scenes(scene, scene.truth, ["red"], size=16, glaciers=outlines)
patches = patches.split(by="blocks", block_m=2000, buffer_m=300)
figure = gl.viz.split_figure(patches.manifest, patches.audit(300), scene)
