// Addresses of sockets as users write them: "10.0.0.1:6653", "[::1]:80", for listeners "6653:10.0.0.1".
//
// ovs: lib/socket-util.c inet_parse_tokens__, parse_sockaddr_components. Names of hosts are not
// looked up: there is no resolver here.

import { parseIpv4, parseIpv6 } from "./address.ts";

export interface InetTarget {
  /** Null for an IPv6 address. */
  readonly ipv4: number | null;
  /** The address as it was written; empty for any. */
  readonly host: string;
  readonly port: number;
}

/** What is wrong; the log says it unless the text is empty, as for a name that nobody resolves. */
export interface InetTargetError {
  readonly error: string;
}

const PORT_MAX = 65535;

/** The two parts around the only colon outside of brackets; more colons: it is all one part. */
function tokens(text: string): readonly [first: string, second: string | null] {
  const colons: number[] = [];
  let inBrackets = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    inBrackets = c === "[" || (inBrackets && c !== "]");
    if (c === ":" && !inBrackets) {
      colons.push(i);
    }
  }
  const [colon] = colons;
  if (colon === undefined || colons.length > 1) {
    return [colon === undefined ? unbracket(text) : text, null];
  }
  return [unbracket(text.slice(0, colon)), unbracket(text.slice(colon + 1))];
}

function unbracket(text: string): string {
  return text.startsWith("[") ? text.slice(1).replace(/\]$/, "") : text;
}

function components(
  text: string,
  host: string | null,
  portText: string | null,
  defaultPort: number,
): InetTarget | InetTargetError {
  let port = defaultPort;
  if (portText !== null && portText !== "") {
    port = /^\s*[+-]?\d+$/.test(portText) ? Number(portText) : -1;
    if (port < 0 || port > PORT_MAX) {
      return { error: `${text}: bad port number "${portText}"` };
    }
  }
  if (host === null) {
    return { ipv4: 0, host: "", port };
  }
  if (host.includes(":")) {
    const address = host.replace(/%.*$/, "");
    return parseIpv6(address, new Uint32Array(4)) ? { ipv4: null, host, port } : { error: "" };
  }
  const ipv4 = parseIpv4(host);
  return ipv4 === undefined ? { error: "" } : { ipv4, host, port };
}

/** "HOST[:PORT]"; a negative default means that a port has to be there. */
export function parseActiveTarget(text: string, defaultPort: number): InetTarget | InetTargetError {
  const [host, port] = tokens(text);
  if (port === null && defaultPort < 0) {
    return { error: `${text}: port must be specified` };
  }
  return components(text, host, port, defaultPort);
}

/** "[PORT][:HOST]"; without a host it is any address. */
export function parsePassiveTarget(
  text: string,
  defaultPort: number,
): InetTarget | InetTargetError {
  const [port, host] = tokens(text);
  return components(text, host === "" ? null : host, port, defaultPort);
}
