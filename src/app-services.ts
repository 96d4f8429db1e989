import { randomBytes } from 'node:crypto'
import type { Access } from './access.ts'
import type { AppOptions } from './app.ts'
import { openTelemetry } from './app-telemetry.ts'
import { keyOf } from './auth/viewer.ts'
import type { Config } from './config.ts'
import { createDatabase } from './db/connect.ts'
import { createReads, type ReadsOptions } from './db/reads.ts'
import { createEvents } from './events/events.ts'
import type { FailureLog } from './failure-log.ts'
import type { Services } from './graphql/context.ts'
import type { Logger } from './log.ts'
import { auditTo } from './server/audit.ts'
import { observedCaptures } from './snapshots/capture/observed-captures.ts'
import { createUploads } from './snapshots/capture/uploads.ts'
import { createWriter } from './snapshots/capture/writer.ts'
import { createKeyTables } from './snapshots/indexes/key-tables.ts'
import { createStateIndexes } from './snapshots/indexes/state-indexes.ts'
import { createLinks } from './snapshots/links.ts'
import { createMayRead } from './snapshots/may-read.ts'
import { createReaders } from './snapshots/readers.ts'
import { type AdmissionOptions, createAdmission } from './snapshots/source/admission.ts'
import { createRetentionTimer } from './snapshots/upkeep/retention-timer.ts'
import { createStoredReads } from './snapshots/upkeep/stored-reads.ts'
import { createSweeper } from './snapshots/upkeep/sweeper.ts'
import { createVerifier } from './snapshots/upkeep/verifier.ts'
import { createParts } from './snapshots/views/parts.ts'
import { createPayloads } from './snapshots/views/payloads.ts'
import { createLinkSigner, type LinkSigner, type LinkSignerOptions } from './storage/links/signed-link.ts'
import { createUploadLinkSigner, type UploadLinkSigner } from './storage/links/upload-link.ts'
import { CACHE_ENTRY_MAX_BYTES, openCache, openStorage } from './stores.ts'

const TOO_MANY =
  'more is past its end than RETENTION_MAX_PERCENT allows, so nothing of it is deleted: look, and then run gc --force'

/** Every part of a server, made once. */
export type Built = ReturnType<typeof build>

export function build(options: AppOptions, { authenticate, policies }: Access, failures: FailureLog) {
  const { config, log, publicUrl, onStatement } = options
  const { inlineMaxBytes, signedUrlMaxSeconds: maxSeconds } = config
  const seen = openTelemetry(options)
  const { telemetry } = seen
  const maxConnections = config.databaseConnectionsMax
  const db = createDatabase({ url: config.databaseUrl, maxConnections, onStatement, telemetry })
  const reads = createReads({
    url: config.databaseReadUrl,
    primary: db,
    primaryUrl: config.databaseUrl,
    maxConnections,
    lagMaxSeconds: config.databaseReadLagMaxSeconds,
    onStatement: options.onStandbyStatement,
    ...tellOfStandby(log),
    shared: options.crew,
  })
  const storage = openStorage(config, db, seen)
  const cache = openCache(config, log, telemetry)
  const warn = (what: string) => (error: unknown) => failures.tell(log, { error, what, level: 'warn' })
  // Connections of their own: sweeping keeps no request from one, and requests do not keep the store from being swept.
  const sweeping = createDatabase({
    url: config.databaseUrl,
    maxConnections: 2,
    applicationName: 'statelens sweep',
    telemetry,
  })
  const sweeper = createSweeper({
    db: sweeping,
    storage,
    onProblem: warn('sweep failed'),
    telemetry,
    isOnDuty: () => options.crew?.isOnDuty() ?? true,
  })
  const audit = auditTo(log)
  const retention = createRetentionTimer({
    db: sweeping,
    days: config.retentionDays ?? null,
    maxPercent: config.retentionMaxPercent,
    sweeper,
    telemetry,
    ...options.retention,
    onExpired: audit.expired,
    onTooMany: ({ due, totals }) => log.warn({ due, totals, maxPercent: config.retentionMaxPercent }, TOO_MANY),
    onProblem: warn('retention failed'),
  })
  const admission = createAdmission({ ...admissionOf(config), ...options.admission })
  const mayRead = createMayRead(policies)
  // Where nobody is asked, nobody could be named.
  const told = authenticate ? audit : undefined
  const payloads = createPayloads({
    db,
    unchanging: reads.unchanging,
    storage,
    cache,
    admission,
    mayRead,
    onWithheld: told?.withheld,
  })
  const indexes = createStateIndexes(db)
  const storedReads = createStoredReads({ db, indexes })
  const writer = createWriter({ db, storage, cache, sweeper, indexes, inlineMaxBytes, admission })
  // A connection of its own: requests that take all others do not keep those waiting who watch.
  const watching = createDatabase({
    url: config.databaseUrl,
    maxConnections: 1,
    applicationName: 'statelens events',
    // What it looks for again and again belongs to nobody's request, though one had it begin.
    telemetry: { ...telemetry, spans: undefined },
  })
  const signers = createSigners({ secrets: linkSecrets(config, log), maxSeconds, now: options.now }, publicUrl)
  return observedCaptures(
    {
      ...seen,
      db,
      reads,
      watching,
      sweeping,
      events: createEvents({ db, watching, onProblem: warn('looking for events failed') }),
      storage,
      cache,
      sweeper,
      retention,
      admission,
      audit,
      policies,
      payloads,
      parts: createParts({
        payloads,
        indexes,
        keyTables: createKeyTables(db, indexes),
        reads: storedReads,
        admission,
        wholeMaxBytes: CACHE_ENTRY_MAX_BYTES,
        waitMillis: options.partsWaitMillis,
        passLimits: options.passLimits,
      }),
      writer,
      readers: createReaders({ reads, mayRead, authorize: options.authorize, spans: telemetry.spans }),
      verifier: createVerifier({ db, payloads, admission, reads: storedReads }),
      links: createLinks({ storage, signer: signers.download, maxSeconds, mayRead, onMade: told?.link }),
      uploads: createUploads({
        db,
        storage,
        sweeper,
        indexes,
        admission,
        signer: signers.upload,
        inlineMaxBytes,
        maxSeconds,
      }),
      basePath: createBasePath(publicUrl),
    },
    telemetry,
  )
}

export function servicesOf(built: Built, { config, authorize }: AppOptions): Services {
  const { readers, writer, payloads, parts, verifier, links, uploads, events, audit, policies, telemetry } = built
  const { payloadMaxBytes } = config
  const views = { payloads, parts, verifier, links, policies }
  const noteWrite = noteWriteOf(built)
  return { ...views, readers, writer, uploads, events, audit, authorize, noteWrite, payloadMaxBytes, telemetry }
}

/** Undefined where everything is read where it is written: then nobody has to be told. */
export function noteWriteOf({ reads }: Built): Services['noteWrite'] {
  return reads.standby && ((viewer) => reads.noteWrite(keyOf(viewer)))
}

function tellOfStandby(log: Logger): Pick<ReadsOptions, 'onChange' | 'onFallback'> {
  return {
    onChange(state, error) {
      if (state === 'up') log.info('the standby is read')
      else log.warn({ state, err: error }, 'the standby is not read: the primary is')
    },
    onFallback: (error) => log.warn({ err: error }, 'a statement failed at the standby, and went to the primary'),
  }
}

function admissionOf(config: Config): AdmissionOptions {
  const { payloadStreamsMax, uploadStreamsMax, payloadMemoryMaxBytes: memoryMaxBytes, workers: processes } = config
  return { payloadStreamsMax, uploadStreamsMax, memoryMaxBytes, processes }
}

/** Signers of a server whose address is known once it listens. */
function createSigners(
  options: Omit<LinkSignerOptions, 'publicUrl'>,
  publicUrl: () => string,
): { readonly download: LinkSigner; readonly upload: UploadLinkSigner } {
  let made: { readonly download: LinkSigner; readonly upload: UploadLinkSigner } | undefined
  const make = () => {
    const known = { ...options, publicUrl: publicUrl() }
    made ??= { download: createLinkSigner(known), upload: createUploadLinkSigner(known) }
    return made
  }
  return {
    download: {
      sign: (request) => make().download.sign(request),
      verify: (rawQuery, target) => make().download.verify(rawQuery, target),
      recognizes: (rawQuery, snapshotId) => make().download.recognizes(rawQuery, snapshotId),
    },
    upload: {
      sign: (uploadId, expiresInSeconds) => make().upload.sign(uploadId, expiresInSeconds),
      verify: (rawQuery, uploadId) => make().upload.verify(rawQuery, uploadId),
    },
  }
}

function linkSecrets(config: Config, log: Logger): readonly string[] {
  if (config.signedUrlSecrets.length > 0) return config.signedUrlSecrets
  log.warn('SIGNED_URL_SECRET is not set: signed links end when this process does')
  return [randomBytes(32).toString('base64url')]
}

/** What stands before the paths at a proxy in front: without a trailing slash. */
function createBasePath(publicUrl: () => string): () => string {
  let path: string | undefined
  return () => {
    path ??= new URL(publicUrl()).pathname.replace(/\/+$/, '')
    return path
  }
}
