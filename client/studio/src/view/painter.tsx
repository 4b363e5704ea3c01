/** A mask is painted on a picture. */
import { Show, createEffect, createSignal, createUniqueId, on } from "solid-js";

import { fileOf } from "../prompt/picture";
import { t } from "../text";
import { FramedDialog } from "./dialog";
import { type Point, Strokes } from "./strokes";

/** How far one press of an arrow key moves the brush, as a share of the image. */
const KEY_STEP = 1 / 32;

/** What is painted is seen on dark and on light images. */
const COLOUR = "#e5573f";

/** What is painted on; without an address an empty sheet of this size. */
interface Sheet {
  readonly address?: string | undefined;
  readonly width: number;
  readonly height: number;
}

/** A dialog that paints on a picture, and gives what was painted as a PNG: white on black. */
export function Painter(props: {
  title: string;
  /** The text of the button that accepts the mask. */
  accept: string;
  /** Absent: there is nothing to paint on. */
  picture: Sheet | undefined;
  /** The address of an earlier mask, which is changed. */
  painted: string | undefined;
  isOpen: boolean;
  onAccept: (file: Uint8Array<ArrayBuffer>) => Promise<void>;
  onClose: () => void;
}) {
  return (
    <FramedDialog title={props.title} isOpen={props.isOpen} onClose={props.onClose}>
      <Show when={props.picture}>
        {(picture) => (
          <Board
            address={picture().address}
            width={picture().width}
            height={picture().height}
            accept={props.accept}
            painted={props.painted}
            onAccept={props.onAccept}
            onClose={props.onClose}
          />
        )}
      </Show>
    </FramedDialog>
  );
}

function Board(
  props: Sheet & {
    accept: string;
    painted: string | undefined;
    onAccept: (file: Uint8Array<ArrayBuffer>) => Promise<void>;
    onClose: () => void;
  },
) {
  const id = createUniqueId();
  let canvas!: HTMLCanvasElement;
  const [size, setSize] = createSignal(12);
  const [isErasing, setErasing] = createSignal(false);
  // Where the brush is, for keys; in pixels of the image.
  const [at, setAt] = createSignal({ x: props.width / 2, y: props.height / 2 });
  let strokes!: Strokes;
  let isDown = false;
  const [canUndo, setCanUndo] = createSignal(false);

  const diameter = () => Math.max(2, (Math.max(props.width, props.height) * size()) / 100);
  const change = (paint: () => void): void => {
    paint();
    setCanUndo(strokes.canUndo);
  };
  const begin = (point: Point): void => {
    change(() => {
      strokes.begin(point, { diameter: diameter(), isErasing: isErasing() });
    });
  };
  const fill = (isFull: boolean): void => {
    change(() => {
      strokes.fill(isFull);
    });
  };
  const undo = (): void => {
    isDown = false;
    change(() => {
      strokes.undo();
    });
  };
  const place = (event: PointerEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * props.width) / box.width,
      y: ((event.clientY - box.top) * props.height) / box.height,
    };
  };
  const onKey = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const move = moves[event.key];
    if (move) {
      event.preventDefault();
      const within = (value: number, end: number) => Math.min(end, Math.max(0, value));
      const { x, y } = at();
      setAt({
        x: within(x + move[0] * KEY_STEP * props.width, props.width),
        y: within(y + move[1] * KEY_STEP * props.height, props.height),
      });
      if (event.shiftKey) {
        begin({ x, y });
        strokes.lineTo(at());
      }
    } else if (event.key === " ") {
      event.preventDefault();
      begin(at());
    }
  };
  const accept = async (): Promise<void> => {
    const flat = document.createElement("canvas");
    flat.width = props.width;
    flat.height = props.height;
    const brush = flat.getContext("2d");
    if (brush) {
      brush.drawImage(canvas, 0, 0);
      brush.globalCompositeOperation = "source-in";
      brush.fillStyle = "white";
      brush.fillRect(0, 0, props.width, props.height);
      brush.globalCompositeOperation = "destination-over";
      brush.fillStyle = "black";
      brush.fillRect(0, 0, props.width, props.height);
      await props.onAccept(await fileOf(flat, "image/png"));
    }
    props.onClose();
  };
  createEffect(
    on(
      () => props.address,
      () => {
        if (props.painted !== undefined) {
          void maskOf(props.painted, canvas).then((mask) => {
            strokes.base(mask);
          });
        }
      },
    ),
  );
  return (
    <div
      class="painter"
      onKeyDown={(event) => {
        if (event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
          event.preventDefault();
          undo();
        }
      }}
    >
      <div class="board" style={{ "--ratio": String(props.width / props.height) }}>
        <Show
          when={props.address}
          fallback={<svg class="blank" viewBox={`0 0 ${props.width} ${props.height}`} aria-hidden="true" />}
        >
          {(address) => <img src={address()} alt="" />}
        </Show>
        <canvas
          ref={(element) => {
            canvas = element;
            strokes = new Strokes(element, COLOUR);
          }}
          width={props.width}
          height={props.height}
          tabindex="0"
          role="application"
          aria-label={t("mask.keys")}
          onKeyDown={onKey}
          onPointerDown={(event) => {
            canvas.setPointerCapture(event.pointerId);
            isDown = true;
            begin(place(event));
          }}
          onPointerMove={(event) => {
            if (isDown && event.buttons !== 0) {
              strokes.lineTo(place(event));
            }
          }}
          onPointerUp={() => (isDown = false)}
          onPointerCancel={() => (isDown = false)}
        />
        <i
          class="brush"
          aria-hidden="true"
          style={{
            left: `${(at().x * 100) / props.width}%`,
            top: `${(at().y * 100) / props.height}%`,
            width: `${(diameter() * 100) / props.width}%`,
          }}
        />
      </div>
      <div class="line">
        <label for={id}>{t("mask.size")}</label>
        <input
          id={id}
          class="slider"
          type="range"
          min="1"
          max="50"
          value={size()}
          onInput={(event) => setSize(event.currentTarget.valueAsNumber)}
        />
        <button type="button" aria-pressed={isErasing()} onClick={() => setErasing(!isErasing())}>
          {t("mask.erase")}
        </button>
        <button
          type="button"
          onClick={() => {
            fill(true);
          }}
        >
          {t("mask.all")}
        </button>
        <button
          type="button"
          onClick={() => {
            fill(false);
          }}
        >
          {t("mask.none")}
        </button>
        <button type="button" title="Ctrl + Z" aria-disabled={!canUndo()} onClick={undo}>
          {t("prompt.undo")}
        </button>
        <span class="spacer" />
        <button class="danger" type="button" onClick={() => void accept()}>
          {props.accept}
        </button>
      </div>
    </div>
  );
}

/** A mask as the board shows it, in the size of the board: its white in the colour of the brush, its black transparent. */
async function maskOf(address: string, { width, height }: { width: number; height: number }): Promise<HTMLCanvasElement> {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const mask = document.createElement("canvas");
  mask.width = width;
  mask.height = height;
  const context = mask.getContext("2d");
  if (context) {
    context.drawImage(picture, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      pixels.data[at + 3] = pixels.data[at] ?? 0;
    }
    context.putImageData(pixels, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = COLOUR;
    context.fillRect(0, 0, width, height);
  }
  return mask;
}
