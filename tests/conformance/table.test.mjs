// Every row of the table against every adapter; `run.mjs` says which.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Backend } from './support/backend.mjs';
import { Conversation } from './support/conversation.mjs';
import { ENV } from './support/secrets.mjs';
import { sections } from './table/index.mjs';

const OPTIONS = { timeout: 30_000 };

for (const name of process.env.CONFORMANCE_ADAPTERS.split(' ')) {
  const { start, limits = {} } = await import(`./adapters/${name}.mjs`);

  describe(name, () => {
    for (const section of sections) describe(section.title, () => run(section, start, limits));

    it('its limits are in the table', () => {
      const titles = sections.flatMap((section) => [section.title, ...cases(section).map(({ path }) => path)]);
      assert.deepEqual(Object.keys(limits).filter((limit) => !titles.includes(limit)), []);
      assert.deepEqual(titles.filter((title, n) => titles.indexOf(title) !== n), [], 'titles that stand twice');
    });
  });
}

/** The rows of a section that is served by one instance. */
function run(section, start, limits) {
  const ends = [];
  let all;
  before(async () => {
    const t = { after: (end) => ends.push(end) };
    const backend = section.config.includes('$BACKEND') ? await Backend.start(t) : undefined;
    const config = section.config.replaceAll('$BACKEND', backend?.url);
    const { url, stop } = await start({ config, env: { ...ENV, ...section.env } });
    t.after(stop);
    all = { url, backend, section };
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  for (const { title, path, steps } of cases(section)) {
    const limit = limits[path] ?? limits[section.title];
    const holds = () => new Conversation(all).play(steps);
    if (limit === undefined) it(title, OPTIONS, holds);
    // what is no limit any more has to go
    else it(`${title} — not here: ${limit}`, OPTIONS, () => assert.rejects(holds));
  }
}

/** A row is a title, and requests each with its answer. Where `pages` says so, a listed page is answered likewise. */
function cases({ title: section, rows, pages = false, base = {} }) {
  return rows.flatMap(([title, ...cells]) => {
    const steps = (over) => cells.flatMap((cell, n) => (n % 2 ? [] : [{
      request: merge(merge(base, cell), over), expected: cells[n + 1],
    }]));
    const page = { headers: { origin: 'https://app.example.com', 'sec-fetch-mode': 'cors' } };
    const fromAPage = pages && cells.length === 2 ? [{ title: `${title} — for a page`, steps: steps(page) }] : [];
    return [{ title, steps: steps({}) }, ...fromAPage].map((one) => ({ ...one, path: `${section}: ${one.title}` }));
  });
}

function merge(base, over) {
  return { ...base, ...over, headers: { ...base.headers, ...over.headers } };
}
