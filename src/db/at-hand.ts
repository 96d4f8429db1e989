import type pg from 'pg'

const AT_HAND_MILLIS = 1000

/**
 * Keeps connections beside the pool for who comes next: to give one back and get it again costs as much as a small statement. Each second
 * the pool has them all back, and sees to their age; whoever waits at the pool comes first.
 */
export function keepAtHand(pool: pg.Pool) {
  const kept: pg.PoolClient[] = []
  let timer: NodeJS.Timeout | undefined

  function giveBack(): void {
    clearTimeout(timer)
    timer = undefined
    for (const client of kept.splice(0)) client.release()
  }

  pool.on('connect', (client) => {
    // Without a listener the loss of a connection would end the process.
    client.on('error', () => {
      const index = kept.indexOf(client as pg.PoolClient)
      if (index !== -1) for (const lost of kept.splice(index, 1)) lost.release(true)
    })
  })
  return {
    take: () => kept.pop(),
    count: () => kept.length,
    keep(client: pg.PoolClient): void {
      if (pool.ending || pool.waitingCount > 0) client.release()
      else kept.push(client)
      timer ??= setTimeout(giveBack, AT_HAND_MILLIS).unref()
    },
    giveBack,
  }
}
