// Goal: the package is small, stands alone, and works as ES module and as CommonJS.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import * as esm from "../dist/esm/index.js";

const BYTES_MAX = 8_000;
const BUNDLE = new URL("../dist/esm/index.js", import.meta.url);

test(`the ES module is smaller than ${BYTES_MAX} bytes, minified and zipped, and the README tells its size`, async (t) => {
  const { outputFiles } = await build({ entryPoints: [BUNDLE.pathname], bundle: true, minify: true, format: "esm", write: false });
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  const shipped = readFileSync(BUNDLE);
  const sizes = [shipped.length, gzipSync(shipped, { level: 9 }).length, outputFiles[0].contents.length, bytes];
  t.diagnostic(`as shipped ${sizes[0]} bytes, zipped ${sizes[1]}; minified ${sizes[2]}, zipped ${bytes}`);
  assert.ok(bytes < BYTES_MAX, `${bytes} bytes`);
  const rows = readFileSync(new URL("../README.md", import.meta.url), "utf8").matchAll(/^\| (?:as it is|minified).*$/gm);
  const told = [...rows].flatMap(([row]) => [...row.matchAll(/\b\d+,\d{3}\b/g)].slice(0, 2).map(([number]) => Number(number.replace(",", ""))));
  assert.ok(told.length === 4 && sizes.every((size, n) => Math.abs(size - told[n]) < size / 50), `the README says ${told}, it is ${sizes}`);
});

test("both forms have the same exports and import nothing", () => {
  const cjs = createRequire(import.meta.url)("../dist/cjs/index.js");
  assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).sort());
  assert.deepEqual(Object.keys(esm).sort(), ["LineageClient", "connect"]);
  for (const form of ["esm", "cjs"]) {
    const text = readFileSync(new URL(`../dist/${form}/index.js`, import.meta.url), "utf8");
    assert.doesNotMatch(text, /^import |\brequire\(/m);
  }
  const { dependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url)));
  assert.equal(dependencies, undefined);
});
