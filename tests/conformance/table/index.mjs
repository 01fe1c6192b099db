import * as asking from './asking.mjs';
import * as errors from './errors.mjs';
import * as givingUp from './giving_up.mjs';
import * as grants from './grants.mjs';
import * as limits from './limits.mjs';
import * as origins from './origins.mjs';
import * as others from './others.mjs';
import * as strategies from './strategies.mjs';
import * as whoCalls from './who_calls.mjs';

/**
 * The table, in sections that one instance serves: a title, its configuration, and rows. A row is a title, and a request and
 * its answer, or several of them. README.md says what the words mean.
 */
export const sections = [asking, errors, origins, grants, givingUp, limits, strategies, whoCalls, others]
  .flatMap(({ sections: some }) => some);
