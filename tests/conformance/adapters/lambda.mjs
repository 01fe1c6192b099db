// A Lambda function behind its own URL.
import { behind } from '../../lambda/support/adapter.mjs';

export const { start, limits } = behind('function_url');
