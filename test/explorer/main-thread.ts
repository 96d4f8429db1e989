import type { CDPSession, Page } from 'playwright-core'

interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  /** What the thread itself took, in microseconds: not what it had to wait for a core. */
  readonly tdur?: number
  readonly args?: { readonly name?: string }
}

export interface Tasks {
  /** How many the page's main thread had. */
  readonly count: number
  /** What the longest of them took of a core, in milliseconds. */
  readonly longestMillis: number
}

/** The tasks of the page's main thread while something is done. A machine with other work makes none of them longer. */
export async function tasksWhile(page: Page, act: () => Promise<void>): Promise<Tasks> {
  const session = await page.context().newCDPSession(page)
  try {
    const events = await trace(session, act)
    const pid = events.find(({ name }) => name === 'traced page')?.pid
    const main = new Set(
      events.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain').map(threadOf),
    )
    const ofPage = events.filter(
      (event) => /RunTask$/.test(event.name) && event.ph === 'X' && event.pid === pid && main.has(threadOf(event)),
    )
    return {
      count: ofPage.length,
      longestMillis: Math.max(0, ...ofPage.map(({ tdur = 0 }) => tdur / 1000)),
    }
  } finally {
    await session.detach()
  }
}

const threadOf = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`

async function trace(session: CDPSession, act: () => Promise<void>): Promise<TraceEvent[]> {
  const events: TraceEvent[] = []
  session.on('Tracing.dataCollected', ({ value }) => {
    for (const event of value as unknown as TraceEvent[]) events.push(event)
  })
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve))
  await session.send('Tracing.start', {
    traceConfig: { includedCategories: ['toplevel', 'blink.user_timing'], excludedCategories: ['*'] },
    transferMode: 'ReportEvents',
  })
  try {
    // By this mark the page's own process is known.
    await session.send('Runtime.evaluate', { expression: "performance.mark('traced page')" })
    await act()
  } finally {
    await session.send('Tracing.end')
    await complete
  }
  return events
}
