// The page, and /auth on the same origin: Next.js passes it on to accrue. `next build` writes the address down, so
// ACCRUE_URL has to be set for it and not for `next start`.
//
// Next.js replaces Host. So list the page's origin where accrue runs: ACCRUE_ORIGINS=https://app.example.com
const accrue = process.env.ACCRUE_URL ?? 'http://127.0.0.1:8080';

export default {
  rewrites: async () => [{ source: '/auth', destination: `${accrue}/auth` }],
};
