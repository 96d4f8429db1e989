import { authCost } from './lib/auth-cost.ts'
import { masking } from './lib/masking.ts'
import { runParts } from './lib/parts.ts'

/*
 * What it costs to ask who somebody is, and to give him a state masked: `npm run bench:access`, or `npm run bench:mask` for the latter
 * alone; `-- --quick` for a look.
 */
await runParts([
  { name: 'auth', beside: 'load and PostgreSQL', work: authCost },
  { name: 'mask', beside: 'S3, PostgreSQL and clients', work: masking },
])
