/** A mask is painted on a picture. */
import { Show, createEffect, createSignal, createUniqueId, on } from "solid-js";

import { fileOf } from "../prompt/picture";
import { t } from "../text";
import { FramedDialog } from "./dialog";

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
  let last: { x: number; y: number } | undefined;

  const context = () => canvas.getContext("2d");
  const diameter = () => Math.max(2, (Math.max(props.width, props.height) * size()) / 100);
  const paint = (to: { x: number; y: number }): void => {
    const brush = context();
    if (!brush) {
      return;
    }
    const from = last ?? to;
    brush.globalCompositeOperation = isErasing() ? "destination-out" : "source-over";
    brush.strokeStyle = COLOUR;
    brush.lineCap = "round";
    brush.lineJoin = "round";
    brush.lineWidth = diameter();
    brush.beginPath();
    brush.moveTo(from.x, from.y);
    brush.lineTo(to.x + 0.01, to.y);
    brush.stroke();
    last = to;
  };
  const place = (event: PointerEvent): { x: number; y: number } => {
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
        last = { x, y };
        paint(at());
        last = undefined;
      }
    } else if (event.key === " ") {
      event.preventDefault();
      last = undefined;
      paint(at());
      last = undefined;
    }
  };
  const fill = (isFull: boolean): void => {
    const brush = context();
    if (brush) {
      brush.globalCompositeOperation = "source-over";
      brush.clearRect(0, 0, props.width, props.height);
      brush.fillStyle = COLOUR;
      if (isFull) {
        brush.fillRect(0, 0, props.width, props.height);
      }
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
          void restore(props.painted, canvas);
        }
      },
    ),
  );
  return (
    <div class="painter">
      <div class="board">
        <Show
          when={props.address}
          fallback={<svg class="blank" viewBox={`0 0 ${props.width} ${props.height}`} aria-hidden="true" />}
        >
          {(address) => <img src={address()} alt="" />}
        </Show>
        <canvas
          ref={canvas}
          width={props.width}
          height={props.height}
          tabindex="0"
          role="application"
          aria-label={t("mask.keys")}
          onKeyDown={onKey}
          onPointerDown={(event) => {
            canvas.setPointerCapture(event.pointerId);
            last = undefined;
            paint(place(event));
          }}
          onPointerMove={(event) => {
            if (last !== undefined && event.buttons !== 0) {
              paint(place(event));
            }
          }}
          onPointerUp={() => (last = undefined)}
          onPointerCancel={() => (last = undefined)}
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
        <span class="spacer" />
        <button class="danger" type="button" onClick={() => void accept()}>
          {props.accept}
        </button>
      </div>
    </div>
  );
}

/** Puts a mask back on the board: its white in the colour of the brush, its black transparent. */
async function restore(address: string, canvas: HTMLCanvasElement): Promise<void> {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const context = canvas.getContext("2d");
  if (!context) {
    return;
  }
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    pixels.data[at + 3] = pixels.data[at] ?? 0;
  }
  context.putImageData(pixels, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = COLOUR;
  context.fillRect(0, 0, canvas.width, canvas.height);
}
