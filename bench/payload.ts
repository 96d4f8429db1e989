import { parseArgs } from 'node:util'
import { installPeers } from './lib/install.ts'
import { gibibyte, put } from './lib/parts-in.ts'
import { aliases, firstByte, throughput } from './lib/parts-out.ts'
import { setUp } from './lib/payload-setup.ts'
import { divideCores } from './lib/processes.ts'
import { describeMachine, note, print } from './lib/report.ts'
import { withSession } from './lib/session.ts'

/*
 * Large payloads: `npm run bench:payload`, or one part of it, as in `npm run bench:payload -- --only put --rounds 2`. What is
 * measured, and how, is told in README.md.
 */
const PARTS = { throughput, ttfb: firstByte, aliases, put, gib: gibibyte }

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(PARTS).join(',') },
    rounds: { type: 'string', default: '7' },
  },
})
const wanted = values.only.split(',')
const unknown = wanted.filter((name) => !Object.hasOwn(PARTS, name))
if (unknown.length > 0) throw new Error(`--only knows ${Object.keys(PARTS).join(', ')}, not ${unknown.join(', ')}`)

await withSession(async (session) => {
  await installPeers()
  const pin = await divideCores()
  note('Starting PostgreSQL and the S3 server …')
  const bench = await setUp(session, { pin, rounds: Number(values.rounds) })
  const apart =
    pin.length > 0 ? 'servers on one core, S3, PostgreSQL and clients on the rest' : 'cores not divided: no taskset'
  print(await describeMachine([apart]))
  print()
  for (const [name, part] of Object.entries(PARTS)) {
    if (!wanted.includes(name)) continue
    note(`${name} …`)
    await part(bench)
  }
})
