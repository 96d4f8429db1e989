import { captures } from './lib/captures.ts'
import { mixedLoad } from './lib/mixed.ts'
import { runParts } from './lib/parts.ts'
import { PAYLOAD_PARTS } from './lib/payload-parts.ts'
import { smallQueries } from './lib/small-queries.ts'

/*
 * All that is measured beside other servers: `npm run bench`, or a look at each of its parts in three minutes by
 * `npm run bench -- --quick`. What is measured, and how, is told in README.md.
 */
await runParts([
  { name: 'queries', beside: 'load and PostgreSQL', work: smallQueries },
  { name: 'captures', beside: 'load and PostgreSQL', work: captures },
  { name: 'mixed', beside: 'load and PostgreSQL', work: mixedLoad },
  ...PAYLOAD_PARTS,
])
