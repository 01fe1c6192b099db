import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that is removed with the test. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'accrue-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}
