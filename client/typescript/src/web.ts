import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { baseUrl, checkedToken } from "./address.js";
import { Client, authorization } from "./client.js";

export * from "./index.js";

/**
 * A client over gRPC-Web, for browsers. The server must be started with `--grpc-web`, and with `--cors-origin` for pages of
 * another origin. A browser checks the server's certificate by itself.
 */
export function connect(address: string, options: { readonly token?: string | undefined } = {}): Client {
  const token = options.token === undefined ? undefined : checkedToken(options.token);
  const transport = createGrpcWebTransport({
    baseUrl: baseUrl(address, token),
    interceptors: token === undefined ? [] : [authorization(token)],
    useBinaryFormat: true,
  });
  return new Client(transport);
}
