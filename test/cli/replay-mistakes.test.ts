// The replay command when it is used wrongly, and its options as text.

import { describe, expect, test } from "vitest";
import { parseIn, parseSenders } from "../../src/cli/replay-inputs.ts";
import { captureName } from "../../src/cli/replay-outputs.ts";
import { dir, file, FORWARD, NAT, pcap, replay, udp } from "./replay-bed.ts";

describe("mistakes", () => {
  const good = pcap([[0, udp(1)]]);
  const one = ["--from", FORWARD, "--in", `1=${good}`];
  test.each([
    [["--from", FORWARD], "--from and --in are needed"],
    [["--in", `1=${good}`], "--from and --in are needed"],
    [["--from", "nowhere", "--in", `1=${good}`], "nowhere: No such file or directory"],
    [["--from", FORWARD, "--in", "1=nowhere.pcap"], "--in nowhere.pcap: No such file or directory"],
    [["--from", FORWARD, "--in", `1=${dir}`], "Is a directory"],
    [
      ["--from", FORWARD, "--in", `eth7=${good}`],
      "no port eth7: there are br0-port1, br0-port2, br0-port3, br0",
    ],
    [["--from", FORWARD, "--in", `9=${good}`], "no port 9 on br0"],
    [
      ["--from", `${NAT}/host`, "--bridge", "br9", "--in", `lan=${good}`],
      "no bridge br9: there are br-nat",
    ],
    [["--from", "README.md", "--in", `1=${good}`], "no dump in it"],
    [[...one, "--mtu", "12"], "--mtu 12: a number from 68 to 65535"],
    [[...one, "--linger", "x"], "--linger x: seconds"],
    [[...one, "--sent-by", "p1"], "PORT=MAC[,MAC...] is needed"],
    [[...one, "--sent-by", "p1=zz"], "zz is no Ethernet address"],
    [[...one, "--out", "a", "--out-dir", "b"], "exclude each other"],
    [[...one, "--out", good], "is read, and would be written over"],
    [[...one, "--out-dir", good], `--out-dir ${good}: File exists`],
    [[...one, "--out-dir", "/proc/tablewalk/a"], "--out-dir /proc/tablewalk/a: No such file"],
    [[...one, "--coverage", "nowhere/c"], "--coverage nowhere/c: No such file or directory"],
    [[...one, "--in", "lan"], "--in lan: No such file or directory (PORT=FILE is usual)"],
    [[...one, "--class", "9"], "there are 1 classes"],
    [[...one, "--nosuch"], "Unknown option '--nosuch'; `tablewalk replay --help` tells"],
  ])("%j", async (args, text) => {
    const r = await replay("--quiet", ...args);
    expect([r.status, r.stdout]).toEqual([2, ""]);
    expect(r.stderr).toContain(text);
  });

  test("a file that is no capture", async () => {
    const garbage = await replay(
      "--json",
      "--quiet",
      "--from",
      FORWARD,
      "--in",
      `1=${file("hello, world")}`,
    );
    expect(garbage.status).toBe(2);
    expect(garbage.stderr).toMatch(/bad magic 0x68656c6c: no pcap or pcapng file \(at byte 0\)/);
    const packed = file(Uint8Array.of(0x1f, 0x8b, 8, 0, 0));
    const gz = await replay("--quiet", "--from", FORWARD, "--in", `1=${packed}`);
    expect(gz.stderr).toContain("a gzip file, to be unpacked first");
  });

  test("packets of which none arrives", async () => {
    const r = await replay(
      "--quiet",
      "--from",
      FORWARD,
      "--in",
      `1=${good}`,
      "--sent-by",
      "br0-port1=!02:00:00:00:00:01",
    );
    expect([r.status, r.stderr]).toEqual([2, "tablewalk replay: no packet arrived at any port\n"]);
    const empty = await replay("--quiet", "--from", FORWARD, "--in", `1=${pcap([])}`);
    expect([empty.status, empty.stderr]).toEqual([0, ""]);
  });

  test("--in and --sent-by as text", () => {
    const never = () => false;
    expect(parseIn("p=a.pcap", never)).toEqual({ port: "p", path: "a.pcap", iface: null });
    expect(parseIn("p=a:b.pcapng:eth0", never)).toEqual({
      port: "p",
      path: "a:b.pcapng",
      iface: "eth0",
    });
    expect(parseIn("p=a:b", () => true)).toEqual({ port: "p", path: "a:b", iface: null });
    expect(parseIn("a:b", never)).toEqual({ port: null, path: "a:b", iface: null });
    expect(parseSenders("p=!02:00:00:00:00:01")).toEqual({
      port: "p",
      senders: { not: true, addresses: new Set([0x020000000001]) },
    });
  });

  test("names of captures stay in their directory", () => {
    const taken = new Set<string>();
    expect(["eth0", "../x", "..", "a/b", "a b", "a_b"].map((n) => captureName(n, taken))).toEqual([
      "eth0.pcap",
      "__x.pcap",
      "_.pcap",
      "a_b.pcap",
      "a_b-2.pcap",
      "a_b-3.pcap",
    ]);
  });
});
