// A Lambda function behind an Application Load Balancer, as a target group is by default.
import { behind } from '../../lambda/support/adapter.mjs';

export const { start, limits } = behind('load_balancer');
