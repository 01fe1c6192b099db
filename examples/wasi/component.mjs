// Makes a component of a core module: what rustc does itself where it has the target wasm32-wasip2.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { componentNew } from '@bytecodealliance/jco-transpile/wasm-tools';

await mkdir('dist', { recursive: true });
await writeFile('dist/accrue.wasm', await componentNew(await readFile(process.argv[2]), []));
