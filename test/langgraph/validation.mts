/** The framework's own suite for savers, which is written for vitest: see saver.test.ts. */
import { validate } from '@langchain/langgraph-checkpoint-validation'
import { StatelensSaver } from '../../src/langgraph/saver.ts'

validate({
  checkpointerName: 'statelens/langgraph',
  createCheckpointer: () => new StatelensSaver({ url: process.env['STATELENS_URL'] ?? '' }),
  async destroyCheckpointer(saver) {
    const threads = new Set<string>()
    for await (const { config } of saver.list({})) threads.add(config.configurable?.['thread_id'])
    for (const thread of threads) await saver.deleteThread(thread)
  },
})
