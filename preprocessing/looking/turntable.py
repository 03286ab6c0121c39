"""A shape that can be turned in a page: pictures from all around, changed by dragging.

Pictures, not triangles: they cost the same for any mesh, look like the other pictures, and need
nothing of the reader's graphics card.
"""

import base64
import io
import json
from collections.abc import Callable

import numpy as np

FRAMES = 36
WIDTH, HEIGHT = 520, 440

SCRIPT = """
for (const box of document.querySelectorAll('.turn')) {
  const frames = JSON.parse(box.querySelector('script').textContent);
  const image = box.insertBefore(new Image(), box.firstChild);
  image.alt = box.title;
  let at = 0, from = null;
  const show = index => {
    at = (index % frames.length + frames.length) % frames.length;
    image.src = 'data:image/webp;base64,' + frames[at];
  };
  const width = () => image.clientWidth / frames.length;
  box.onpointerdown = event => {
    from = [event.clientX, at];
    box.setPointerCapture(event.pointerId);
  };
  box.onpointermove = event => {
    if (from) show(from[1] - Math.round((event.clientX - from[0]) / width()));
  };
  box.onpointerup = box.onpointercancel = () => { from = null; };
  box.onkeydown = event => {
    const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
    if (step) { show(at + step); event.preventDefault(); }
  };
  image.draggable = false;
  show(0);
}
"""


def turntable(title: str, draw: Callable[[float], np.ndarray]) -> str:
    """A figure that turns under the pointer or the arrow keys; the page also needs SCRIPT.

    title: plain text for those who cannot see it. draw: azimuth in degrees -> a picture, uint8
    (HEIGHT, WIDTH, 4). The first picture is at azimuth 35, as the other pictures are.
    """
    frames = [webp(draw(35 + 360 * index / FRAMES)) for index in range(FRAMES)]
    return (
        f'<figure class="turn" tabindex="0" title="{title}">'
        f'<script type="application/json">{json.dumps(frames)}</script>'
        "<figcaption>drag, or use the arrow keys, to turn it</figcaption></figure>"
    )


def webp(picture: np.ndarray) -> str:
    """A picture as WebP in base64: a tenth of its PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=82, method=4)
    return base64.b64encode(buffer.getvalue()).decode()
