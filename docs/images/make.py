"""Makes the pictures of README, pages and notebooks: `python docs/images/make.py`; see also realism.py."""

from pathlib import Path

import glacierlab as gl

scene = gl.sample("athabasca")  # NASA HLS, through SatRbedo
outlines = gl.map_glaciers(scene).glacier.outlines()
reference = gl.sample("athabasca_outline")
figure = gl.viz.scene_figure(scene, outlines, reference, title="Athabasca Glacier, 16 August 2020")
figure.savefig(Path(__file__).with_name("athabasca.png"), dpi=80)

layers = ["nir", "swir16", "pca:2", "tasseled_cap:wetness", "glcm:nir:homogeneity", "slope"]
stack = scene.assign_attrs(sun_azimuth=151, sun_elevation=48).glacier.stack([*layers, "hillshade"])
figure = gl.viz.stack_figure(stack)
figure.savefig(Path(__file__).with_name("stack.png"), dpi=62)

world = gl.synthetic_world(seed=1, years=[1950, 2000, 2030], shape=(500, 500))
figure = gl.viz.world_figure(world)
figure.savefig(Path(__file__).with_name("world_years.jpg"), dpi=75, pil_kwargs={"quality": 85})

made = world.scene(2000)
patches = gl.samples.PatchSet.from_scenes(made, made.truth, ["red"], size=32, glaciers=world.outlines(2000))
leaky = patches.split(by="random", leaks=True)
figure = gl.viz.split_figure(leaky.manifest, leaky.audit(), made)
figure.savefig(Path(__file__).with_name("split_random.jpg"), dpi=70, pil_kwargs={"quality": 85})
honest = patches.split(by="blocks", block_m=4000, buffer_m=500)
figure = gl.viz.split_figure(honest.manifest, honest.audit(500), made)
figure.savefig(Path(__file__).with_name("split_blocks.jpg"), dpi=70, pil_kwargs={"quality": 85})
