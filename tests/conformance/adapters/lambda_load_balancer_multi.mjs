// A Lambda function behind an Application Load Balancer, with lambda.multi_value_headers.enabled.
import { behind } from '../../lambda/support/adapter.mjs';

export const { start, limits } = behind('load_balancer_multi');
