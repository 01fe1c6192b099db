// The Kubernetes manifests, without a cluster.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { output } from './support/command.mjs';
import { pathOf, read } from './support/examples.mjs';
import { drainTimeout, summary } from './support/service.mjs';

const MANIFESTS = read('kubernetes.yaml');
const VALIDATE = fileURLToPath(new URL('.venv/bin/kubernetes-validate', import.meta.url));
const skip = !existsSync(VALIDATE) && 'to run it: python3 -m venv tests/deploy/.venv && '
  + 'tests/deploy/.venv/bin/pip install --require-hashes -r tests/deploy/requirements.txt';

// the oldest that has what they use, and the newest that is known here
for (const version of ['1.30.0', '1.37.0']) {
  test(`the manifests are valid for Kubernetes ${version}, strictly`, { skip }, () => {
    output(VALIDATE, ['--strict', '-k', version, pathOf('kubernetes.yaml')]);
  });
}

test('the ConfigMap holds accrue.toml word for word', () => {
  const indented = read('accrue.toml').replace(/^(?=.)/gm, '    ');
  assert.ok(MANIFESTS.includes(`  accrue.toml: |\n${indented}---\n`));
});

test('after preStop, Kubernetes waits for longer than accrue drains', (t) => {
  const [grace, pause] = [/terminationGracePeriodSeconds: (\d+)/, /sleep: { seconds: (\d+) }/]
    .map((pattern) => Number(pattern.exec(MANIFESTS)[1]));
  assert.ok(grace - pause > drainTimeout(t));
});

test('accrue accepts the variables of its Deployment, beside those that Kubernetes sets for its Service', (t) => {
  const own = [...MANIFESTS.matchAll(/^ +- { name: (ACCRUE_\w+(?<!_FILE)), value: (\S+) }$/gm)];
  assert.ok(own.length > 0);
  summary(t, {
    ACCRUE_SERVICE_HOST: '10.0.0.1',
    ACCRUE_SERVICE_PORT: '80',
    ACCRUE_SERVICE_PORT_HTTP: '80',
    ACCRUE_PORT: 'tcp://10.0.0.1:80',
    ACCRUE_PORT_80_TCP: 'tcp://10.0.0.1:80',
    ACCRUE_PORT_80_TCP_PROTO: 'tcp',
    ACCRUE_PORT_80_TCP_PORT: '80',
    ACCRUE_PORT_80_TCP_ADDR: '10.0.0.1',
    ACCRUE_LISTEN: '0.0.0.0:8080',
    ...Object.fromEntries(own.map(([, name, value]) => [name, value])),
  });
});
