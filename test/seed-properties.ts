/** In each test file: properties try the same every time, so that what was green once is green for others. */

import * as fc from 'fast-check';

const SEED = 20_251_124;

/** Another seed tries other things. */
const wanted = process.env.WHENCE_PROPERTY_SEED;
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: wanted === undefined ? SEED : Number(wanted) });
