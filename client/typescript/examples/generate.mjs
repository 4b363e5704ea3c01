// Checks a prompt, draws it with previews, and writes the picture: `node generate.mjs prompt.xml picture.png`
import { readFile, writeFile } from "node:fs/promises";

import { PreviewMethod, RequestRefused, connect } from "sakuga/node";

const [from, to] = process.argv.slice(2);
const prompt = await readFile(from, "utf8");
const client = connect();
try {
  for (const { line, column, code, message, fix } of (await client.validate(prompt)).diagnostics) {
    console.log(`${line}:${column} ${code}: ${message}`);
    if (fix !== undefined) {
      console.log(`  fix: ${fix.description}`);
    }
  }
  const job = await client.generate(prompt, { seed: 7n, preview: { method: PreviewMethod.LINEAR } });
  for await (const { event } of job) {
    switch (event.case) {
      case "step":
        console.log(`step ${event.value.index} of ${event.value.total}`);
        break;
      case "preview":
        console.log(`preview of ${event.value.data.length} bytes`);
        break;
      case "gpuStats":
        console.log(`${event.value.name}: ${event.value.memoryUsedBytes ?? 0} bytes in use`);
        break;
    }
  }
  await writeFile(to, (await job.picture()).data);
} catch (error) {
  if (!(error instanceof RequestRefused)) {
    throw error;
  }
  console.error(error.retryAfterMs === undefined ? error.message : `try again in ${error.retryAfterMs} ms: ${error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
