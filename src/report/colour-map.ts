/**
 * The colour map `magma` of Nathaniel Smith and Stéfan van der Walt (matplotlib, CC0): perceptually uniform, rising
 * in lightness throughout, so that it reads the same in print, in grey and to the colour-blind. Every sixteenth entry
 * of the 256; between them linear, within 3 levels of the whole table.
 */
export const MAGMA: readonly (readonly [number, number, number])[] = [
  [0, 0, 4],
  [10, 8, 34],
  [29, 17, 71],
  [54, 16, 107],
  [80, 18, 124],
  [105, 28, 129],
  [130, 38, 129],
  [156, 46, 127],
  [182, 54, 122],
  [207, 64, 112],
  [230, 81, 100],
  [244, 106, 92],
  [251, 136, 97],
  [254, 165, 113],
  [254, 194, 135],
  [253, 224, 161],
  [252, 253, 191],
];

/** Colours for values 0/255 to 255/255: 256 RGB triples of 8 bits. */
export const MAGMA_TABLE: Uint8Array = (() => {
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (MAGMA.length - 1);
    const left = Math.min(Math.floor(place), MAGMA.length - 2);
    for (let c = 0; c < 3; c++) {
      const [from, to] = [MAGMA[left]![c]!, MAGMA[left + 1]![c]!];
      table[i * 3 + c] = Math.round(from + (to - from) * (place - left));
    }
  }
  return table;
})();
