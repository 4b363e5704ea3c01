/** The system's dialog for choosing a file, opened by a button elsewhere. */

/** A field that nobody sees: `ref` gives the element, whose `click` opens the dialog. */
export function FilePicker(props: {
  accept: string;
  ref: (element: HTMLInputElement) => void;
  onChoose: (file: File) => void;
}) {
  return (
    <input
      class="hidden"
      ref={props.ref}
      type="file"
      tabindex="-1"
      aria-hidden="true"
      accept={props.accept}
      onChange={(event) => {
        const chosen = event.currentTarget.files?.[0];
        // The same file may be chosen again.
        event.currentTarget.value = "";
        if (chosen) {
          props.onChoose(chosen);
        }
      }}
    />
  );
}
