// The trace command as a user runs it: the shipped host, its recorded traces, exit statuses, errors.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PcapWriter } from "../../src/io/pcap-file.ts";
import { parseHex } from "../../src/lib/bytes.ts";
import { styleTrace } from "../../src/cli/trace-style.ts";

const dir = mkdtempSync(join(tmpdir(), "tablewalk-cli-"));
const program = join(dir, "tw.mjs");
const HOST = "examples/host-dump/sosreport";
const IN = "dl_src=02:00:00:00:ff:01,dl_dst=02:00:00:00:00:ed";
const HTTPS = `in_port=uplink,tcp,${IN},nw_src=198.51.100.7,nw_dst=10.0.10.11,nw_ttl=64,tcp_src=40000,tcp_dst=443`;
const SSH =
  "in_port=web0,tcp,dl_src=02:00:00:00:10:11,dl_dst=02:00:00:00:00:ed," +
  "nw_src=10.0.10.11,nw_dst=10.0.20.21,nw_ttl=64,tcp_src=40000,tcp_dst=22";
const FRAME =
  "0200000000ed0200000000ff08004500002800000000400600000a000a0bc63364070050c0de00000000000000005002" +
  "200000000000";

beforeAll(() => {
  const built = spawnSync("node", ["tools/bundle.mjs", program], { encoding: "utf8" });
  expect(built.stderr).toBe("");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function tablewalk(...args: string[]) {
  const { status, stdout, stderr } = spawnSync("node", [program, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

describe("tablewalk trace", () => {
  test.each([
    ["trace-delivered.txt", HTTPS, 0],
    ["trace-dropped.txt", SSH, 1],
  ])("prints what the live switch printed: %s", (file, flow, status) => {
    const r = tablewalk("trace", "--from", HOST, flow);
    expect(r.stdout).toBe(readFileSync(`examples/host-dump/${file}`, "utf8"));
    expect(r.status).toBe(status);
    expect(r.stderr).toContain("used: ");
    expect(r.stderr).not.toContain("error: ");
  });

  test("answers data on --json, with the verdict", () => {
    const r = tablewalk("trace", "--quiet", "--json", "--from", HOST, SSH);
    const data = JSON.parse(r.stdout) as { version: number; verdict: string; steps: unknown[] };
    expect([data.version, data.verdict, data.steps.length]).toEqual([1, "dropped", 2]);
    expect(r.stderr).toBe("");
  });

  test("--ct-next says what the connection table would", () => {
    const flow = HTTPS.replace("tcp_dst=443", "tcp_dst=25");
    expect(tablewalk("trace", "--quiet", "--from", HOST, flow).status).toBe(1);
    expect(tablewalk("trace", "--quiet", "--from", HOST, "--ct-next", "trk,est", flow).status).toBe(
      0,
    );
  });

  test("groups the packets of a capture by path", () => {
    const pcap = join(dir, "c.pcap");
    const writer = new PcapWriter(pcap);
    const frame = parseHex(FRAME) as Uint8Array;
    for (let i = 0; i < 50; i++) {
      const copy = frame.slice();
      copy[33] = 7 + (i % 5);
      copy[36] = i % 2 === 0 ? 0 : 99;
      writer.write(copy, i, 0);
    }
    writer.close();
    const base = ["trace", "--quiet", "--from", HOST, "--pcap", pcap, "--in-port", "web0"];
    const r = tablewalk(...base, "--json");
    const { classes } = JSON.parse(r.stdout) as { classes: { packets: number; verdict: string }[] };
    expect(classes.reduce((n, c) => n + c.packets, 0)).toBe(50);
    expect(classes.length).toBeLessThan(5);
    expect(tablewalk(...base, "--class", "1").stdout).toMatch(/^Packet 1:\nFlow: tcp,/);
    expect(tablewalk(...base, "--class", "99").status).toBe(2);
  });

  test.each([
    [["trace", "in_port=1"], "--from is needed"],
    [["trace", "--from", "nowhere", "in_port=1"], "nowhere: No such file or directory"],
    [["trace", "--from", HOST, "--bridge", "br9", "in_port=1"], "no bridge br9: there are br-edge"],
    [["trace", "--quiet", "--from", HOST, "nosuch=1"], "nosuch"],
    [["trace", "--from", "README.md", "in_port=1"], "no dump in it"],
    [["trace", "--from", HOST], "a FLOW is needed"],
    [["trace", "--from", HOST, "ip", "tcp"], "one FLOW is needed, not 2"],
    [["trace", "--from", HOST, "--nosuch"], "Unknown option '--nosuch'; `tablewalk trace --help`"],
    [["trace", "--from", HOST, "--pcap", "a.pcap"], "--in-port PORT is needed"],
    [["trace", "--from", HOST, "--pcap", "a.pcap", "--in-port", "web0", "ip"], "no FLOW"],
    [
      ["trace", "--quiet", "--from", HOST, "--pcap", "a.pcap", "--in-port", "web0"],
      "tablewalk trace: a.pcap: No such file or directory",
    ],
    [["shell", "a", "b"], "one FILE, not a b"],
    [["shell", "--json", "a"], "takes its requests from standard input, not a"],
    [["shell", "--nosuch"], "Unknown option '--nosuch'"],
    [["nosuch"], 'unknown command "nosuch"'],
  ])("%j is an error", (args, text) => {
    const r = tablewalk(...args);
    expect(r.status).toBe(2);
    expect(r.stderr).toContain(text);
    expect(r.stdout).toBe("");
  });
});

describe("on a terminal", () => {
  const trace = "Flow: in_port=1\n\n 0. priority 0\n    drop\nDatapath actions: drop\n";
  test("lines that matter get a colour", () => {
    expect(styleTrace(trace, 80, true)).toContain("\x1b[31mDatapath actions: drop\x1b[0m");
    expect(styleTrace(trace, 80, false)).toBe(trace);
  });
  test("long lines are folded under their indentation and lose nothing", () => {
    const long = `Megaflow: ${Array.from({ length: 30 }, (_, i) => `f${i}=1`).join(",")}`;
    const folded = styleTrace(long, 60, false);
    expect(Math.max(...folded.split("\n").map((l) => l.length))).toBeLessThanOrEqual(60);
    expect(folded.replace(/\n +/g, "")).toBe(long);
  });
});
