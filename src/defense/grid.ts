/** Values of one plane in double precision, row by row: `data.length === width * height`. */
export interface Grid {
  readonly width: number;
  readonly height: number;
  readonly data: Float64Array;
}

/** Planes R, G, B (or Y, Cb, Cr) of one image. */
export type Planes = readonly [Grid, Grid, Grid];
