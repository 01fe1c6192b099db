// The keys that the stand-in for Ably knows.
export const KEY = 'app.key:a secret';
export const REVOCABLE = 'app.revocable:another secret';
export const NARROW = 'app.narrow:a third secret';
export const STRANGER = 'stranger.key:a secret of another app';
export const KEYS = [
  { key: KEY }, { key: REVOCABLE, revocable: true }, { key: STRANGER },
  { key: NARROW, capability: '{"room:*":["publish","subscribe"]}' },
];
export const nameOf = (key) => key.split(':')[0];
export const secretOf = (key) => key.slice(key.indexOf(':') + 1);

/** What shows a key to the REST API. */
export const basic = (key) => ({ authorization: `Basic ${Buffer.from(key).toString('base64')}` });
