import { createMemoryCache } from '../cache/memory.ts'
import type { Config } from '../config.ts'
import { createDatabase } from '../db/connect.ts'
import { createWriter } from '../snapshots/capture/writer.ts'
import { createStateIndexes } from '../snapshots/indexes/state-indexes.ts'
import { createReader } from '../snapshots/reader.ts'
import { createAdmission } from '../snapshots/source/admission.ts'
import { createSweeper } from '../snapshots/upkeep/sweeper.ts'
import { createPayloads } from '../snapshots/views/payloads.ts'
import { openStorage } from '../stores.ts'

/** What commands read and write states by that move them, one after the other. */
export function openTransfer(config: Config & { readonly databaseUrl: string }) {
  const db = createDatabase({ url: config.databaseUrl, maxConnections: 4 })
  const storage = openStorage(config, db)
  // Each state passes by once.
  const cache = createMemoryCache({ maxBytes: 1, maxEntryBytes: 1, ttlSeconds: 1 })
  const admission = createAdmission()
  // What is left over is swept by a server, or by the next pass.
  const sweeper = createSweeper({ db, storage, onProblem: () => {} })
  const indexes = createStateIndexes(db)
  const { inlineMaxBytes } = config
  return {
    db,
    reader: createReader(db),
    payloads: createPayloads({ db, storage, cache, admission }),
    writer: createWriter({ db, storage, cache, sweeper, indexes, inlineMaxBytes, admission }),
    async close() {
      await sweeper.stop()
      await Promise.all([db.close(), cache.close()])
      storage.close()
    },
  }
}

export type Transfer = ReturnType<typeof openTransfer>
