import { parseArgs } from 'node:util'
import { installPeers } from './install.ts'
import { divideCores } from './processes.ts'
import { describeMachine, endPart, note, print } from './report.ts'
import { type Session, withSession } from './session.ts'
import { createShared, type Shared } from './shared.ts'

/** How much is done: in full what README.md shows, or a quick look at everything. */
export interface Form {
  readonly isQuick: boolean
  readonly rounds: number
  /** Of small queries and captures: how long one turn of a server takes. */
  readonly seconds: number
  /** The most that a server is given to get as fast as it can. */
  readonly warmUpSeconds: number
  readonly runs: number
  readonly connections: number
  /** Bytes of what stands for 100 MB, for 1 GiB, and for each of 70 payloads. */
  readonly large: number
  readonly huge: number
  readonly alias: number
  /** `folder` or `s3`, where states are masked that lie in one of them alone. */
  readonly place: string | null
  /** Folder of another checkout, whose captures are measured, too. */
  readonly before: string | null
}

export interface PartContext {
  /** Of the part alone: the servers that it starts take nothing from the next one. */
  readonly session: Session
  readonly shared: Shared
  readonly form: Form
  /** What puts a program on the servers' core. */
  readonly pin: readonly string[]
}

export interface Part {
  /** Also the name of its place in README.md. */
  readonly name: string
  /** What shares the machine with the servers, for the line above the tables. */
  readonly beside: string
  readonly work: (context: PartContext) => Promise<void>
}

const FULL = { rounds: 7, seconds: 2, warmUpSeconds: 40, runs: 10_000, large: 100e6, huge: 2 ** 30, alias: 20e6 }
const QUICK = { rounds: 3, seconds: 0.4, warmUpSeconds: 1.5, runs: 500, large: 25e6, huge: 100e6, alias: 2e6 }

/**
 * Runs parts of the bench in turn, those that `--only` names. `--quick` touches all in some three minutes; `--rounds`, `--seconds`,
 * `--runs` and `--connections` change one figure of either; `--write` puts the tables into README.md. Each part's tables are headed
 * by the machine. Ends with 1 where a bar was missed by more than the noise.
 */
export async function runParts(parts: readonly Part[]): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: parts.map(({ name }) => name).join(',') },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      runs: { type: 'string' },
      connections: { type: 'string', default: '8' },
      place: { type: 'string' },
      before: { type: 'string' },
    },
  })
  const wanted = values.only.split(',')
  const unknown = wanted.filter((name) => !parts.some((part) => part.name === name))
  if (unknown.length > 0) {
    throw new Error(`--only knows ${parts.map(({ name }) => name).join(', ')}, not ${unknown.join(', ')}`)
  }
  const base = values.quick ? QUICK : FULL
  const form: Form = {
    ...base,
    isQuick: values.quick,
    rounds: Number(values.rounds ?? base.rounds),
    seconds: Number(values.seconds ?? base.seconds),
    runs: Number(values.runs ?? base.runs),
    connections: Number(values.connections),
    place: values.place ?? null,
    before: values.before ?? null,
  }
  await installPeers()
  const pin = await divideCores()
  await withSession(async (whole) => {
    const shared = createShared(whole, form)
    for (const part of parts.filter(({ name }) => wanted.includes(name))) {
      whole.throwIfOver()
      await runPart(part, { shared, form, pin })
      await endPart(part.name, values)
    }
  })
}

async function runPart({ name, beside, work }: Part, context: Omit<PartContext, 'session'>): Promise<void> {
  const { form, pin } = context
  note(`${name} …`)
  const began = performance.now()
  await withSession(async (session) => {
    const apart = pin.length > 0 ? `servers on one core, ${beside} on the rest` : 'cores not divided: no taskset'
    print(await describeMachine([apart, `${form.rounds} rounds${form.isQuick ? ', the quick form' : ''}`]))
    print()
    await work({ ...context, session })
  })
  note(`${name} took ${((performance.now() - began) / 1000).toFixed(0)} s`)
}
