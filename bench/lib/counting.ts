import { observeStatements } from '../../src/db/observe-statements.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'

const WARM_UP = 200_000
const TURNS = 30
const COUNTED = 20_000
/** As long as that of Q1. */
const STATEMENT = `select ${'s.column, '.repeat(60)} from state_snapshots s where s.run_id = $1`

/** Microseconds of CPU, for each of some turns, that all that is counted of one small query takes by itself. */
export function measureCounting(): number[] {
  const telemetry = { ...createMetrics().telemetry, spans: undefined }
  const operation = telemetry.operation('Q1', 'query')
  const statement = observeStatements(telemetry).begin
  const payload = { tier: 'inline', way: 'whole' } as const
  const answered = { route: '/graphql', method: 'POST', status: 200, isCut: false }

  function countOne(): void {
    const began = performance.now()
    telemetry.requestBegan()
    const executed = performance.now()
    statement(STATEMENT)()
    telemetry.payloadBytes('out', 1900, payload)
    operation((performance.now() - executed) / 1000, 'ok')
    telemetry.requestEnded({ ...answered, seconds: (performance.now() - began) / 1000 })
  }

  for (let i = 0; i < WARM_UP; i++) countOne()
  return Array.from({ length: TURNS }, () => {
    const before = process.cpuUsage()
    for (let i = 0; i < COUNTED; i++) countOne()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / COUNTED
  })
}
