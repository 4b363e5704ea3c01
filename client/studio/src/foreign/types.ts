/** What another program says about a picture. */
export interface Foreign {
  readonly prompt: string;
  readonly negative: string;
  readonly steps: number | undefined;
  readonly guidance: number | undefined;
  /** Empty if it gives no seed. */
  readonly seed: string;
  /** 0 if it gives no size. */
  readonly width: number;
  readonly height: number;
  /** What is not carried over, as a person knows it. */
  readonly unused: readonly string[];
}
