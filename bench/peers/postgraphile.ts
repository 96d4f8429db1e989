import { createServer } from 'node:http'
import { postgraphile } from 'postgraphile'
import type { PgSelectSingleStep } from 'postgraphile/@dataplan/pg'
import { makePgService } from 'postgraphile/adaptors/pg'
import { constant, type Step } from 'postgraphile/grafast'
import { grafserv } from 'postgraphile/grafserv/node'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'
import { extendSchema, gql, jsonPgSmartTags } from 'postgraphile/utils'
import { listen, setting } from '../lib/listen.ts'

/*
 * PostGraphile with its own preset, on its own adaptor for node:http, in production mode (NODE_ENV), with no IDE and no
 * explanations. Its schema follows the tables; smart tags give the short names, and the foreign keys that the tables leave
 * out; one plan gives the newest snapshot of a step, which no table says. It does so in two ways, and each query takes the
 * faster: as a part of the parent's statement for metadata; for payloads by a statement of its own, as text in arrays in arrays
 * is escaped at each level, which costs it twice as much CPU on Q4.
 */
const tags = jsonPgSmartTags({
  version: 1,
  config: {
    class: {
      statelens_runs: { tags: { name: 'runs' } },
      statelens_steps: {
        tags: { name: 'steps', foreignKey: '(run_id) references statelens_runs (run_id)|@foreignFieldName steps' },
        attribute: { step_index: { tags: { isIndexed: true } } },
      },
    },
  },
})

const newestSnapshot = extendSchema((build) => {
  const snapshots = build.pgResources['state_snapshots']
  if (!snapshots) throw new Error('The snapshots are missing')
  const newest = ($runId: Step, $stepId: Step) => {
    const $snapshots = snapshots.find({ run_id: $runId, step_id: $stepId })
    $snapshots.orderBy({ attribute: 'seq', direction: 'DESC' })
    $snapshots.setOrderIsUnique()
    $snapshots.setFirst(constant(1))
    return $snapshots
  }
  const ofStep = ($step: PgSelectSingleStep) => newest($step.get('run_id'), $step.get('step_id'))
  return {
    typeDefs: gql`
      extend type Query { newestSnapshot(runId: String!, stepId: String!): StateSnapshot }
      extend type Step { newestSnapshot: StateSnapshot newestState: StateSnapshot }
    `,
    objects: {
      Query: {
        plans: { newestSnapshot: (_$root, { $runId, $stepId }) => newest($runId as Step, $stepId as Step).single() },
      },
      Step: {
        plans: {
          newestSnapshot: ($step: PgSelectSingleStep) => ofStep($step).single(),
          newestState($step: PgSelectSingleStep) {
            const $snapshots = ofStep($step)
            $snapshots.setInliningForbidden()
            return $snapshots.single()
          },
        },
      },
    },
  }
})

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  plugins: [tags, newestSnapshot],
  pgServices: [
    makePgService({ connectionString: setting('DATABASE_URL'), schemas: ['public'], poolConfig: { max: 10 } }),
  ],
  grafast: { explain: false },
  grafserv: { graphqlPath: '/graphql', graphiql: false, websockets: false, watch: false },
})
const server = createServer()
server.on('error', () => {})
const serv = instance.createServ(grafserv)
await serv.addTo(server)
await listen(server)
