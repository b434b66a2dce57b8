// Tiles that did not come. OpenSeadragon never asks for them again and leaves the place blurred.

export class Tiles {
  /** osd: OpenSeadragon's viewer, with its navigator. */
  constructor(osd) {
    this.missing = [];
    for (const viewer of [osd, osd.navigator]) viewer.addHandler('tile-load-failed', ({ tile, tiledImage }) => this.missing.push({ tile, tiledImage }));
  }

  /** Ask for them again, where they are still in view. */
  again() {
    const missing = this.missing.splice(0);
    for (const { tile } of missing) tile.exists = true;
    for (const image of new Set(missing.map(({ tiledImage }) => tiledImage))) image.update(true);
  }
}
