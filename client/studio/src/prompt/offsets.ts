/** Places in a text: the server counts bytes of UTF-8, a browser counts units of UTF-16. */

/** Turns byte offsets of one text into UTF-16 offsets. */
export class ByteOffsets {
  private readonly bytes: number;

  constructor(private readonly text: string) {
    this.bytes = utf8Length(text);
  }

  /** The UTF-16 offset of a byte offset; the end of the text for one beyond it. */
  toUtf16(offset: number): number {
    if (this.bytes === this.text.length) {
      return Math.min(offset, this.text.length);
    }
    let passed = 0;
    let at = 0;
    while (at < this.text.length && passed < offset) {
      const code = this.text.codePointAt(at) ?? 0;
      passed += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      at += code < 0x10000 ? 1 : 2;
    }
    return at;
  }
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}
