// Builds dist/: one bundle as ES module, one as CommonJS, and the types for each.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { stdio: "inherit" });
const common = { entryPoints: ["src/index.ts"], bundle: true, target: "es2022", logLevel: "warning" };
await build({ ...common, format: "esm", outfile: "dist/esm/index.js" });
await build({ ...common, format: "cjs", outfile: "dist/cjs/index.js" });
mkdirSync("dist/cjs", { recursive: true });
// Below a package.json of its own, what ends in .js and .d.ts is CommonJS.
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
for (const file of readdirSync("dist/esm")) {
  if (file.endsWith(".d.ts")) cpSync(`dist/esm/${file}`, `dist/cjs/${file}`);
}
