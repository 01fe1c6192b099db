import { join } from 'node:path';
import { folder } from '../../sdk/support/folder.mjs';
import { output } from './command.mjs';

/** The host of the application in everything that is shown. */
export const HOST = 'app.example.com';

/** A certificate for it and for the identity provider, and its key: the paths of two PEM files. */
export function certificate(t) {
  const own = folder(t);
  const [cert, key] = [join(own, 'cert.pem'), join(own, 'key.pem')];
  const names = [HOST, 'id.example.com', 'localhost'].map((name) => `DNS:${name}`).join(',');
  output('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', `/CN=${HOST}`, '-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=CA:FALSE',
    '-keyout', key, '-out', cert,
  ]);
  return { cert, key };
}
