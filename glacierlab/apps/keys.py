"""Keys that a page listens to, as long as nobody types."""

import param
from panel.custom import JSComponent

SHORTCUTS = {"n": "next", "p": "previous", "a": "accept", "u": "undo"}


class Keys(JSComponent):
    """Calls a function with the name of a shortcut that was pressed; shows which there are.

    Keys that are typed into a field, or held together with Ctrl, Alt or Meta, are none.
    """

    letters = param.List(list(SHORTCUTS))
    told = param.String(", ".join(f"{key} {name}" for key, name in SHORTCUTS.items()))

    _esm = """
    export function render({ model, el }) {
      const line = document.createElement("div")
      line.textContent = "Keys: " + model.told
      line.style.cssText = "font-size:12px;opacity:0.75;padding:0 10px"
      el.append(line)
      const pressed = (event) => {
        if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return
        const typed = event.composedPath()[0]
        if (typed && typed.matches && typed.matches("input, textarea, select, [contenteditable]")) return
        if (model.letters.includes(event.key)) model.send_msg(event.key)
      }
      document.addEventListener("keydown", pressed)
      model.on("remove", () => document.removeEventListener("keydown", pressed))
    }
    """

    def __init__(self, act, **params):
        super().__init__(**({"sizing_mode": "stretch_width", "height": 22} | params))
        self._act = act

    def _handle_msg(self, message):
        if message in SHORTCUTS:
            self._act(SHORTCUTS[message])
