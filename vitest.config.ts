import { defineConfig } from "vitest/config";

export default defineConfig({
  // Examples import the package by its name; tests take the sources for it.
  resolve: { alias: { tablewalk: new URL("src/vswitch/index.ts", import.meta.url).pathname } },
  test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
});
