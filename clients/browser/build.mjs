// Bundles src/ and web-vitals into one classic script, for a plain <script src>.
//
// usage: node build.mjs [output file]
//
// The output is checked in (services/ingest/web/monitoring.js), so that serving it needs no Node;
// tests/unit/clients/test_monitoring_js_build.py proves that it is this source's.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const outfile = process.argv[2] ?? join(here, "../../services/ingest/web/monitoring.js");
const versionOf = (folder) => JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8")).version;

await build({
  absWorkingDir: here,
  entryPoints: ["src/index.ts"],
  outfile,
  bundle: true,
  minify: true,
  format: "iife",
  // The oldest that web-vitals itself runs on (Array.prototype.at).
  target: ["chrome92", "firefox90", "safari15.4"],
  charset: "utf8",
  legalComments: "none",
  banner: {
    js:
      `/*! signalbox monitoring.js ${versionOf(".")}; ` +
      `with web-vitals ${versionOf("node_modules/web-vitals")}, Copyright Google LLC, Apache-2.0 */`,
  },
});

const bytes = readFileSync(outfile);
console.log(`${outfile}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);
