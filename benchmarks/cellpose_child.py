"""Cellpose in a Python of its own, since its last release with weights inside needs old libraries:
``pip install cellpose==0.0.1.6 mxnet==1.9.1 'numpy<1.24' 'scipy<1.12' 'opencv-python-headless<4.9' natsort tqdm``.

Reads lines ``IN.npy OUT.npy``: an image (H, W, 3) uint8 at 0.5 µm/px to its label map (H, W). Answers each with a line.
"""

import contextlib
import sys

import numpy as np

NUCLEUS_PX = 16.0
"""Diameter of a nucleus at 0.5 µm/px."""


def main() -> None:
    with contextlib.redirect_stdout(sys.stderr):
        from cellpose import models

        network = models.Cellpose(net_avg=False)  # one network is inside the package
    print("ready", flush=True)
    for line in sys.stdin:
        source, target = line.split()
        with contextlib.redirect_stdout(sys.stderr):
            inverted = 255.0 - np.load(source).astype(np.float32)  # it looks for what is bright
            masks = network.eval([inverted], channels=[0, 0], rescale=network.diam_mean / NUCLEUS_PX, net_avg=False)[0]
            np.save(target, np.asarray(masks[0]))
        print("done", flush=True)


if __name__ == "__main__":
    main()
