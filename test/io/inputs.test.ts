// Files out of directories and archives: all kinds of tar, hostile names, damage, limits.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";
import { afterAll, expect, test } from "vitest";
import { readInputs } from "../../src/io/inputs.ts";

const dir = mkdtempSync(join(tmpdir(), "tablewalk-inputs-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const all = () => true;
const names = (r: Awaited<ReturnType<typeof readInputs>>) =>
  r.files.map((f) => `${f.name.replace(dir, "")}=${Buffer.from(f.bytes).toString()}`);
const problems = (r: Awaited<ReturnType<typeof readInputs>>) =>
  r.problems.map((p) => `${p.name.replace(dir, "")}: ${p.problem}`);

async function tar(name: string, entries: Record<string, string>): Promise<Uint8Array> {
  const list = Object.entries(entries).map(([n, body]) => ({
    header: { name: n, size: body.length },
    body,
  }));
  const bytes = await packTar(list);
  writeFileSync(join(dir, name), bytes);
  return bytes;
}

test("a directory, walked in order of names", async () => {
  mkdirSync(join(dir, "d/sub"), { recursive: true });
  writeFileSync(join(dir, "d/b"), "2");
  writeFileSync(join(dir, "d/a"), "1");
  writeFileSync(join(dir, "d/sub/c"), "3");
  expect(names(await readInputs([join(dir, "d")], all))).toEqual([
    "/d/a=1",
    "/d/b=2",
    "/d/sub/c=3",
  ]);
});

test("tar and tar.gz, told by content whatever their name", async () => {
  const bytes = await tar("plain.txt", { "x/flows": "cookie=0x0, actions=drop" });
  writeFileSync(join(dir, "packed.log"), gzipSync(bytes));
  expect(names(await readInputs([join(dir, "plain.txt"), join(dir, "packed.log")], all))).toEqual([
    "/plain.txt:x/flows=cookie=0x0, actions=drop",
    "/packed.log:x/flows=cookie=0x0, actions=drop",
  ]);
});

test("tar.xz where the program xz is", async () => {
  await tar("t.tar", { f: "1" });
  if (spawnSync("xz", ["--keep", join(dir, "t.tar")]).status !== 0) {
    return; // No xz here: readInputs says so itself, which needs a file that only xz can make.
  }
  expect(names(await readInputs([join(dir, "t.tar.xz")], all))).toEqual(["/t.tar.xz:f=1"]);
});

test("names that leave the archive are told and passed over", async () => {
  await tar("evil.tar", { "../../etc/passwd": "x", "/abs": "y", "a/../b": "z", good: "1" });
  const r = await readInputs([join(dir, "evil.tar")], all);
  expect(names(r)).toEqual(["/evil.tar:good=1"]);
  expect(problems(r)).toEqual([
    "/evil.tar:../../etc/passwd: a path that leaves the archive",
    "/evil.tar:/abs: a path that leaves the archive",
    "/evil.tar:a/../b: a path that leaves the archive",
  ]);
});

test("an archive cut anywhere ends with a problem or fewer files, never with an exception", async () => {
  const bytes = await tar("whole.tar", { one: "1".repeat(700), two: "2".repeat(700) });
  const packed = gzipSync(bytes);
  for (let cut = 512; cut < bytes.length; cut += 333) {
    writeFileSync(join(dir, "cut.tar"), bytes.subarray(0, cut));
    const r = await readInputs([join(dir, "cut.tar")], all);
    expect(r.files.length + r.problems.length).toBeGreaterThan(0);
  }
  writeFileSync(join(dir, "cut.gz"), packed.subarray(0, packed.length - 20));
  expect(problems(await readInputs([join(dir, "cut.gz")], all)).length).toBe(1);
});

test("what is not there is a problem", async () => {
  const r = await readInputs([join(dir, "nowhere")], all);
  expect(problems(r)[0]).toBe("/nowhere: No such file or directory");
});
