import { it } from 'node:test'
import { runReplicas } from './replicas.ts'

/** `npm run test:replicas`: ten rounds, by what is usual of a server that is told to stop, once as single processes and once with workers. */
for (const workers of ['1', '2']) {
  it(`three replicas over ten rounds, ${workers} worker(s) each`, { timeout: 3_600_000 }, async (context) => {
    context.diagnostic(
      JSON.stringify(
        await runReplicas({ rounds: 10, connections: 12, pauseMillis: 5, settings: { WORKERS: workers } }),
      ),
    )
  })
}
