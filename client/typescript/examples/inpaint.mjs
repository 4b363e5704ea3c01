// Uploads a picture and draws a rectangle of it again: `node inpaint.mjs prompt.xml girl.png changed.png`
import { readFile, writeFile } from "node:fs/promises";

import { connect, fromImage } from "sakuga/node";

const [from, picture, to] = process.argv.slice(2);
const client = connect();
try {
  const asset = await client.uploadAsset(await readFile(picture));
  const { width, height } = asset.facts.value;
  const [left, top] = [width, height].map((edge) => Math.floor(edge / 4));
  const boxes = [{ left, top, width: 2 * left, height: 2 * top }];
  const job = await client.generate(await readFile(from, "utf8"), { width, height, ...fromImage(asset, 0.8, { boxes }) });
  await writeFile(to, (await job.picture()).data);
} finally {
  client.close();
}
