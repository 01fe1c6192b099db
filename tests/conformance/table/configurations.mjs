// What is served: configurations as an operator writes them, without `listen`.
import { PROXY_SECRET } from '../support/secrets.mjs';

const ORIGINS = 'origins = ["https://app.example.com", "http://localhost:3000"]';
const PROXY = `
[authenticate.header]
proxy_secret = "${PROXY_SECRET}"
`;
const RULES = `
[permission.rules]
"chat:*" = ["history", "publish", "subscribe"]
"private:{clientId}:*" = ["*"]
"team:{claims.team}" = ["subscribe"]
`;
const GIVEN = `
[given]
"inbox:{clientId}" = ["subscribe"]
`;
const EXACT = `
[token]
jitter = 0
`;

/** Who calls is told by a proxy's header; chats may be asked for, and an inbox is given. */
export const MAIN = ORIGINS + PROXY + RULES + GIVEN + EXACT;
export const NOTHING_GIVEN = ORIGINS + PROXY + RULES + EXACT;
export const JITTER = ORIGINS + PROXY + RULES + GIVEN;
export const JWT_TOKENS = `${MAIN}format = "jwt"\n`;
export const SHORT = `${ORIGINS}${PROXY}${RULES}${GIVEN}[token]\njitter = 0\nttl = "5m"\n`;
export const NARROW_KEY = `${MAIN}[ably.capability]\n"chat:*" = ["history", "subscribe"]\n`;
export const EXTRA_OPERATIONS = `${MAIN}[ably]\nextra_operations = ["dance"]\n`;
export const strategy = (name, config = MAIN) => `strategy = "${name}"\n${config}`;
export const cookie = (lines, config = MAIN) => `${config}[cookie]\n${lines}\n`;

/** Who calls is told by a session JWT. */
export const SESSION_SECRET = 'what the application signs its sessions with';
export const session = (lines = '') =>
  `${ORIGINS}${RULES}${GIVEN}${EXACT}[authenticate.jwt]\nsecret = "${SESSION_SECRET}"\n${lines}\n`;

/** Who calls is whoever they say. */
export const CLAIMED = `${ORIGINS}${RULES}${GIVEN}${EXACT}[authenticate.claimed]\n`;

/** The application is asked what they may do, or who they are. */
export const WEBHOOK = `${ORIGINS}${PROXY}${EXACT}
[permission.webhook]
url = "$BACKEND/permissions"
bearer = "what accrue and the backend share"
timeout = "1s"
`;
export const FORWARD = `${ORIGINS}${RULES}${GIVEN}${EXACT}
[authenticate.forward]
url = "$BACKEND/whoami"
timeout = "1s"
`;
