import { runParts } from './lib/parts.ts'
import { PAYLOAD_PARTS } from './lib/payload-parts.ts'

/*
 * Large payloads alone: `npm run bench:payload`, or one part of it, as in `npm run bench:payload -- --only put --rounds 3`. What is
 * measured, and how, is told in README.md.
 */
await runParts(PAYLOAD_PARTS)
