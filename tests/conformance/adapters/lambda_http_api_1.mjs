// A Lambda function behind an HTTP API of API Gateway (payload 1.0), below the name of its stage.
import { behind } from '../../lambda/support/adapter.mjs';

export const { start, limits } = behind('http_api_1');
