// The whole table against each adapter that is named, or against all: `node tests/conformance/run.mjs serve axum`.
import { readdirSync } from 'node:fs';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const known = readdirSync(path('adapters')).map((file) => file.replace(/\.mjs$/, ''));
const named = process.argv.slice(2);
const unknown = named.filter((name) => !known.includes(name));
if (unknown.length) {
  console.error(`there is no adapter ${unknown.join(', ')}; there are: ${known.join(', ')}`);
  process.exit(2);
}

process.env.CONFORMANCE_ADAPTERS = (named.length ? named : known).join(' ');
run({ files: [path('table.test.mjs')] })
  .on('test:fail', () => { process.exitCode = 1; })
  .compose(spec)
  .pipe(process.stdout);
