import { readFileSync } from "node:fs";

import { Http2SessionManager, createGrpcTransport } from "@connectrpc/connect-node";

import { DEFAULT_ADDRESS, baseUrl, checkedToken } from "./address.js";
import { Client, authorization } from "./client.js";
import { AddressError } from "./errors.js";

export * from "./index.js";

/** Credentials. Certificates and keys are texts in PEM. */
export interface ConnectOptions {
  /** Added to every call; by default `SAKUGA_TOKEN`. */
  readonly token?: string | undefined;
  /** The CAs that sign the server's certificate; by default those in the file `SAKUGA_CA`, or else Node's. */
  readonly ca?: string | Buffer | undefined;
  /** The certificate for a server that requires one. */
  readonly cert?: string | Buffer | undefined;
  /** Its private key. */
  readonly key?: string | Buffer | undefined;
}

/**
 * A client over gRPC. Takes `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051; without an
 * address the environment's `SAKUGA_SERVER`, or else a server on this machine. It connects at the first call.
 */
export function connect(address?: string, options: ConnectOptions = {}): Client {
  const given = options.token ?? (process.env["SAKUGA_TOKEN"] || undefined);
  const token = given === undefined ? undefined : checkedToken(given);
  const url = baseUrl(address ?? (process.env["SAKUGA_SERVER"] || DEFAULT_ADDRESS), token);
  const isEncrypted = url.startsWith("https:");
  const hasKeys = options.ca !== undefined || options.cert !== undefined || options.key !== undefined;
  if (hasKeys && !isEncrypted) {
    throw new AddressError(`certificates need TLS; write \`https://host:port\` in place of ${url}`);
  }
  const caFile = process.env["SAKUGA_CA"] || undefined;
  const ca = options.ca ?? (isEncrypted && caFile !== undefined ? readFileSync(caFile) : undefined);
  const sessionManager = new Http2SessionManager(
    url,
    // An open connection is pinged, and closed without an answer. One without calls is closed, so that a program can end.
    { pingIntervalMs: 20_000, pingTimeoutMs: 20_000, idleConnectionTimeoutMs: 10_000 },
    {
      ...(ca === undefined ? {} : { ca }),
      ...(options.cert === undefined ? {} : { cert: options.cert }),
      ...(options.key === undefined ? {} : { key: options.key }),
    },
  );
  const transport = createGrpcTransport({
    baseUrl: url,
    sessionManager,
    interceptors: token === undefined ? [] : [authorization(token)],
    // A preview is one message: 2048 by 2048 pixels of noise as PNG are 12 MiB.
    readMaxBytes: 32 << 20,
  });
  return new Client(transport, () => sessionManager.abort());
}
