import assert from 'node:assert/strict'
import { type ExecutionResult, execute, GraphQLError, getOperationAST, getVariableValues, parse } from 'graphql'
import { ANYONE } from '../../src/auth/viewer.ts'
import { createMemoryCache } from '../../src/cache/memory.ts'
import { createDatabase } from '../../src/db/connect.ts'
import type { Context } from '../../src/graphql/context.ts'
import { createVariables } from '../../src/graphql/execution/variables.ts'
import { createErrorMask } from '../../src/graphql/mask-error.ts'
import { isLazy, type RawSource, toJsonSegments } from '../../src/graphql/raw-json.ts'
import { schema } from '../../src/graphql/schema.ts'
import { createKeyTables } from '../../src/snapshots/indexes/key-tables.ts'
import { createStateIndexes } from '../../src/snapshots/indexes/state-indexes.ts'
import { createLinks } from '../../src/snapshots/links.ts'
import { createReader } from '../../src/snapshots/reader.ts'
import { createAdmission } from '../../src/snapshots/source/admission.ts'
import { createStoredReads } from '../../src/snapshots/upkeep/stored-reads.ts'
import { createVerifier } from '../../src/snapshots/upkeep/verifier.ts'
import { createParts } from '../../src/snapshots/views/parts.ts'
import { createPayloads } from '../../src/snapshots/views/payloads.ts'
import { createLinkSigner } from '../../src/storage/links/signed-link.ts'
import { createStorage } from '../../src/storage/registry.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'
import { storageOptions } from './objects.ts'
import type { TestServer } from './server.ts'
import { createStrictReader } from './strict-reader.ts'

export interface GraphqlOperation {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>> | undefined
  readonly operationName?: string | undefined
}

export interface PlainExecution extends AsyncDisposable {
  /** The text that the answer of a valid operation should be. */
  answer(operation: GraphqlOperation): Promise<string>
}

export interface PlainExecutionOptions {
  /** Its store is read. */
  readonly server: TestServer
  /** The time that links are made at. */
  readonly now: () => number
}

/** graphql-js alone, on parts of its own, with a reader that shows when a resolver reads what it has not asked for. */
export function createPlainExecution({ server, now }: PlainExecutionOptions): PlainExecution {
  const db = createDatabase({ url: server.databaseUrl })
  const storage = createStorage(storageOptions({ storagePath: server.storagePath }))
  const cache = createMemoryCache({ maxBytes: 1, maxEntryBytes: 1, ttlSeconds: 1 })
  const signer = createLinkSigner({ secrets: ['x'.repeat(32)], publicUrl: server.url, maxSeconds: 86_400, now })
  const maskError = createErrorMask(() => {})
  const payloads = createPayloads({ db, storage, cache })
  const indexes = createStateIndexes(db)
  const keyTables = createKeyTables(db, indexes)
  const reads = createStoredReads({ db, indexes })
  const parts = createParts({ payloads, indexes, keyTables, reads, admission: createAdmission(), wholeMaxBytes: 1 })
  // Only mutations upload, only subscriptions watch, and only plain routes read for a viewer of their own.
  const contextOf = (): Omit<Context, 'uploads' | 'events' | 'readers'> => ({
    reader: createStrictReader(createReader(db)),
    writer: server.app.writer,
    payloads,
    parts: parts.forViewer(ANYONE),
    verifier: createVerifier({ db, payloads, reads }),
    links: createLinks({ storage, signer, maxSeconds: 86_400 }),
    payloadMaxBytes: 67_108_864,
    telemetry: SILENT,
    viewer: ANYONE,
    signal: new AbortController().signal,
    memory: new Map(),
  })
  return {
    async answer({ query: source, variables = {}, operationName }) {
      const document = parse(source)
      const refused = refusedVariables(document, { variables, operationName })
      if (refused) return await textOf({ errors: refused }, maskError)
      const contextValue = contextOf()
      const result = await execute({ schema, document, variableValues: variables, operationName, contextValue })
      return await textOf({ ...result, errors: result.errors?.map(withoutArgument) }, maskError)
    },
    [Symbol.asyncDispose]: () => db.close(),
  }
}

/** Our own words, where graphql-js refuses as well, as often and at the same places; otherwise the values must be the same. */
function refusedVariables(
  document: ReturnType<typeof parse>,
  { variables = {}, operationName }: Omit<GraphqlOperation, 'query'>,
): readonly GraphQLError[] | undefined {
  const operation = getOperationAST(document, operationName)
  assert.ok(operation)
  const expected = getVariableValues(schema, operation.variableDefinitions ?? [], { ...variables })
  const { values, errors } = createVariables(schema, operation)(variables)
  if (!expected.errors) {
    assert.deepEqual(errors, [])
    assert.deepEqual({ ...values }, expected.coerced)
    return undefined
  }
  const placesOf = (all: readonly GraphQLError[]) => all.slice(0, 10).map(({ locations }) => locations)
  assert.deepEqual(placesOf(errors), placesOf(expected.errors))
  return errors
}

/** graphql-js tells the whole argument, as it stands in the text. */
function withoutArgument(error: GraphQLError): GraphQLError {
  const message = error.message.replace(/^(Argument "\w+" has )(invalid value) .*\.$/s, '$1an $2.')
  return message === error.message ? error : new GraphQLError(message, { nodes: error.nodes, path: error.path })
}

async function textOf(
  { data, errors = [] }: ExecutionResult,
  maskError: (error: unknown) => GraphQLError,
): Promise<string> {
  const all = errors.map(maskError)
  const textOfLeaf = async (source: RawSource) => {
    if (!isLazy(source)) return source.toString()
    const { nodes, path } = source
    return await source.open().then(
      async ({ body }) => (Buffer.isBuffer(body) ? body : Buffer.concat(await body.toArray())).toString(),
      (originalError) => {
        all.push(maskError(new GraphQLError('', { nodes, path, originalError })))
        return 'null'
      },
    )
  }
  const parts: string[] = []
  if (data !== undefined) for (const segment of toJsonSegments({ data })) parts.push(await textOfLeaf(segment))
  const wire = all.map((error) => {
    const { message, locations, path, extensions: { http: _http, ...extensions } = {} } = error.toJSON()
    return { message, locations, path, extensions }
  })
  const text = parts.join('')
  if (wire.length === 0) return text
  return text === '' ? `{"errors":${JSON.stringify(wire)}}` : `${text.slice(0, -1)},"errors":${JSON.stringify(wire)}}`
}
