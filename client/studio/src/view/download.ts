/** Saves a picture as it is, with its request in it. */
export function download(address: string, jobId: string, image: number): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = `sakuga-${jobId}-${image}.png`;
  link.click();
}
