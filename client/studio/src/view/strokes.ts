/** What is painted on a canvas, as a list of strokes, so that the last one can be taken back. */

/** A place on the canvas, in its pixels. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** What a stroke is painted with. */
export interface Brush {
  /** In pixels of the canvas. */
  readonly diameter: number;
  readonly isErasing: boolean;
}

type Action =
  | ({ readonly kind: "stroke"; readonly points: Point[] } & Brush)
  | { readonly kind: "fill"; readonly isFull: boolean };

/** What a canvas shows: a mask from before, and the strokes over it. */
export class Strokes {
  private readonly actions: Action[] = [];
  private earlier: CanvasImageSource | undefined;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly colour: string,
  ) {}

  /** Whether there is something to take back. */
  get canUndo(): boolean {
    return this.actions.length > 0;
  }

  /** Puts a mask from before under the strokes; it cannot be taken back. */
  base(earlier: CanvasImageSource): void {
    this.earlier = earlier;
    this.repaint();
  }

  /** Begins a stroke with a dot. */
  begin(at: Point, brush: Brush): void {
    this.actions.push({ kind: "stroke", points: [at], ...brush });
    this.segment(at, at, brush);
  }

  /** Continues the last stroke by a line. */
  lineTo(to: Point): void {
    const stroke = this.actions.at(-1);
    if (stroke?.kind === "stroke") {
      this.segment(stroke.points.at(-1) ?? to, to, stroke);
      stroke.points.push(to);
    }
  }

  /** Paints everything, or nothing. */
  fill(isFull: boolean): void {
    this.actions.push({ kind: "fill", isFull });
    this.flood(isFull);
  }

  /** Takes the last stroke back, or the last fill. */
  undo(): void {
    this.actions.pop();
    this.repaint();
  }

  private repaint(): void {
    this.flood(false);
    if (this.earlier) {
      this.canvas.getContext("2d")?.drawImage(this.earlier, 0, 0);
    }
    for (const action of this.actions) {
      if (action.kind === "fill") {
        this.flood(action.isFull);
        continue;
      }
      for (const [index, point] of action.points.entries()) {
        this.segment(action.points[index - 1] ?? point, point, action);
      }
    }
  }

  private segment(from: Point, to: Point, { diameter, isErasing }: Brush): void {
    const context = this.canvas.getContext("2d");
    if (!context) {
      return;
    }
    context.globalCompositeOperation = isErasing ? "destination-out" : "source-over";
    context.strokeStyle = this.colour;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.lineWidth = diameter;
    context.beginPath();
    context.moveTo(from.x, from.y);
    // A line without length is not painted.
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  }

  private flood(isFull: boolean): void {
    const context = this.canvas.getContext("2d");
    if (!context) {
      return;
    }
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (isFull) {
      context.fillStyle = this.colour;
      context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    }
  }
}
