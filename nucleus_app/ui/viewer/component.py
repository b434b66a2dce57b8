"""The viewer as a Gradio component, in pure Python: an HTML component that mounts our own script.

Points never pass through Gradio: the viewer fetches them from our routes. Its value is only
``{"image": id, "details": id, "notices": [{"kind", "text"}], "opens": bool, "rev": n}``; ``rev`` must grow, or Gradio
sees no change.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"
STYLES = ("viewer.css", "case.css", "page.css", "learning.css", "slides.css")

# Constant, without placeholders: a value pasted into the template would run as code.
_TEMPLATE = """
<div class="nv-root">
  <div class="nv-stage" tabindex="0" role="application" aria-label="Image viewer. Press the question mark for all keys."><div class="nv-empty">Drop an image on the left to begin.</div></div>
  <aside class="nv-panel"></aside>
</div>
"""

# Event names that Python listens to must stand in quotes here: 'select'.
_LOADER = """
const EVENTS = ['select'];
const root = (window.gradio_config && window.gradio_config.root) || '';
const base = new URL((root ? root.replace(/\\/+$/, '') : '') + '/', document.baseURI).toString();
const at = (name) => `${base}nucleus/static/__VERSION__/${name}`;
for (const name of __STYLES__) {
  const style = document.createElement('link');
  style.rel = 'stylesheet';
  style.href = at(name);
  document.head.appendChild(style);
}
for (const name of __MODULES__) { // all at once, not one after the other as each names the next
  const link = document.createElement('link');
  link.rel = 'modulepreload';
  link.href = at(name);
  document.head.appendChild(link);
}
const library = window.OpenSeadragon ? Promise.resolve() : new Promise((loaded, failed) => {
  const script = document.createElement('script');
  script.src = at('vendor/openseadragon.min.js');
  script.onload = loaded;
  script.onerror = () => failed(new Error('openseadragon.min.js is missing: run make setup'));
  document.head.appendChild(script);
});
library
  .then(() => import(at('viewer.js')))
  .then((module) => { element.querySelector('.nv-root').viewer = module.mount({ element, props, trigger, watch, base }); })
  .catch((error) => { element.querySelector('.nv-empty').textContent = `The viewer did not start: ${error.message}`; });
"""


def static_version() -> str:
    """Changes with any file of the viewer; part of their address, so that no browser shows an old one."""
    files = sorted(p for p in STATIC.rglob("*") if p.is_file())
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:10]


def create_viewer(elem_id: str) -> gr.HTML:
    """The viewer, to be placed in a Blocks. Not a subclass: Gradio writes a stub beside every subclass's source."""
    modules = sorted(path.name for path in STATIC.glob("*.js"))
    loader = _LOADER.replace("__VERSION__", static_version()).replace("__STYLES__", json.dumps(STYLES))
    return gr.HTML(
        html_template=_TEMPLATE,
        css_template="",
        js_on_load=loader.replace("__MODULES__", json.dumps(modules)),
        apply_default_css=False,
        elem_id=elem_id,
    )
