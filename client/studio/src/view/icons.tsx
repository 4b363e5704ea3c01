/** Icons of one stroke. They say nothing to screen readers: what they stand for is written next to them or in a label. */
import type { JSX } from "solid-js";

function icon(path: string): () => JSX.Element {
  return () => (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

export const Plus = icon("M12 5v14M5 12h14");
export const Cross = icon("M6 6l12 12M18 6L6 18");
export const Barred = icon("M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM5.600 5.600l12.800 12.800");
export const Pencil = icon("M4 20l1-5L16 4l4 4L9 19zM14 6l4 4");
export const Clock = icon("M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 7v5l3.500 2");
export const Download = icon("M12 4v11M7 11l5 5l5-5M5 20h14");
export const Repeat = icon("M4 11a8 8 0 0 1 14-4l2 2M20 4v5h-5M20 13a8 8 0 0 1-14 4l-2-2M4 20v-5h5");
export const Dice = icon("M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01");
export const Bin = icon("M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13");
export const File = icon("M7 3h7l4 4v14H7zM14 3v4h4");
export const Info = icon("M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18zM12 11v5M12 8h.01");
export const Halves = icon("M4 5h7v14H4zM14 5h6v14h-6M12.500 3v18");
export const Star = icon("M12 4l2.500 5.100 5.600.800-4 4 .900 5.600-5-2.600-5 2.600.900-5.600-4-4 5.600-.800z");
export const Spark = icon("M12 3l1.800 6.200L20 11l-6.200 1.800L12 19l-1.800-6.200L4 11l6.200-1.800z");
