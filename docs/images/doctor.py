"""Makes the picture of lesson 0, a scene and its ailments: `python docs/images/doctor.py`."""

from pathlib import Path

from matplotlib.figure import Figure

import glacierlab as gl
from glacierlab.viz.figures import false_color

scene = gl.synthetic_scene(seed=6)
shown = {"the scene": scene} | {name: gl.teach.ailing(scene, name) for name in gl.teach.AILMENTS}
figure = Figure(figsize=(10, 5.7), layout="constrained")
for ax, (name, each) in zip(figure.subplots(2, 4).ravel(), shown.items(), strict=True):
    verdicts = each.glacier.check().verdict
    found = ", ".join(verdicts.index[verdicts != "ok"]) or "nothing"
    ax.imshow(false_color(each), interpolation="nearest")
    ax.set_title(name, fontsize=11)
    ax.set(xlabel=f"the doctor finds: {found}", xticks=[], yticks=[])
figure.savefig(Path(__file__).with_name("doctor.jpg"), dpi=80, pil_kwargs={"quality": 85})
