import { AddressError } from "./errors.js";

/** Where a server listens by default. */
export const DEFAULT_ADDRESS = "http://127.0.0.1:50051";

/**
 * The base URL of a server: `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051. A token goes
 * over TLS or to the loopback, never unencrypted to another machine.
 */
export function baseUrl(address: string, token: string | undefined): string {
  const given = address.trim();
  if (given.includes("@")) {
    // Checked first, so that no other message repeats a password.
    throw new AddressError("a server address has no user and no password; remove everything before `@`");
  }
  let url: URL;
  const schemed = given.includes("://") ? given : `http://${given}`;
  try {
    url = new URL(schemed);
  } catch {
    throw new AddressError(`\`${given}\` is not a server address; write \`http://host:port\``);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new AddressError(`\`${given}\`: write \`http://host:port\` or \`https://host:port\``);
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw new AddressError(`\`${given}\`: a gRPC server has no path; write only \`http://host:port\``);
  }
  if (token !== undefined && url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new AddressError(`a token is not sent unencrypted to ${url.host}; write \`https://host:port\``);
  }
  // A URL leaves out the default port of its scheme, which is not the default of this service.
  const authority = schemed.slice(schemed.indexOf("://") + 3).replace(/\/$/, "");
  const hasPort = /:\d+$/.test(authority);
  return `${url.protocol}//${hasPort ? authority : `${url.hostname}:50051`}`;
}

/** The token as it is sent. */
export function checkedToken(token: string): string {
  const word = token.trim();
  if (!/^[!-~]+$/.test(word)) {
    throw new AddressError("a token is one word of visible ASCII characters");
  }
  return word;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
