// A Lambda function behind a REST API of API Gateway, below the name of its stage.
import { behind } from '../../lambda/support/adapter.mjs';

export const { start, limits } = behind('rest_api');
