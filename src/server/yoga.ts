import { type ExecutionArgs, type ExecutionResult, GraphQLError, getOperationAST, validate } from 'graphql'
import { createYoga, type GraphQLParams, type Plugin } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'
import type { Context } from '../graphql/context.ts'
import { LIMITS, limitsRule, refuseLargePages, tooComplex } from '../graphql/limits.ts'
import { createErrorMask } from '../graphql/mask-error.ts'
import { schema } from '../graphql/schema.ts'
import { createCompiledExecution } from './compiled-execution.ts'

export interface YogaOptions {
  /** Told of every failure whose cause clients do not see. */
  readonly onHiddenError: (error: unknown) => void
}

export type GraphqlResult = ExecutionResult | AsyncIterable<ExecutionResult> | undefined

export interface GraphqlServer {
  /** @param method of the request: a GET executes no mutation. */
  execute(params: GraphQLParams, method: string, context: Context): Promise<GraphqlResult>
  /** Turns any failure into what a client may read. */
  readonly maskError: (error: unknown) => GraphQLError
}

/** Yoga parses, validates, executes and masks; HTTP is not its part: bodies leave by `node:http` alone. */
export function createGraphqlServer({ onHiddenError }: YogaOptions): GraphqlServer {
  const maskError = createErrorMask(onHiddenError)
  const compiled = createCompiledExecution(maskError)
  const yoga = createYoga<Context>({
    schema,
    plugins: [useLimits(), compiled.plugin],
    maskedErrors: { maskError, isDev: false },
    parserAndValidationCache: { documentCache: boundedCache(), errorCache: boundedCache() },
    logging: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: false,
  })
  return {
    maskError,
    async execute(params, method, context) {
      const result = await compiled.execute(params, context)
      // What Yoga's hooks look at of a request: the method decides whether mutations may run.
      return result ?? (await yoga.getResultForParams({ params, request: { method } as Request }, context))
    },
  }
}

/** Keys are whole query texts, so few of them, none above the limit of their size. */
function boundedCache<T extends object>() {
  const entries = new LRUCache<string, T>({ max: 256 })
  return {
    get: (key: string) => entries.get(key),
    set: (key: string, value: T) => void entries.set(key, value),
  }
}

function useLimits(): Plugin<Context> {
  return {
    onParse({ params, setParseFn, parseFn }) {
      // One literal is one token, however long: the text is bounded by itself.
      if (Buffer.byteLength(params.source.toString()) > LIMITS.queryBytes) throw tooLong()
      setParseFn((source, options) => parseWithin(() => parseFn(source, { ...options, maxTokens: LIMITS.tokens })))
    },
    onValidate({ addValidationRule, setValidationFn }) {
      addValidationRule(limitsRule)
      setValidationFn((validatedSchema, document, rules) =>
        validate(validatedSchema, document, rules, { maxErrors: 10, hideSuggestions: true }),
      )
    },
    onExecute({ args }) {
      const { document, operationName, variableValues } = args as ExecutionArgs
      const operation = getOperationAST(document, operationName)
      if (operation) refuseLargePages(operation, document, variableValues ?? {})
    },
  }
}

/** Few tokens are enough to nest lists deeper than the parser can follow. */
function parseWithin<Document>(parse: () => Document): Document {
  try {
    return parse()
  } catch (error) {
    throw error instanceof RangeError ? tooComplex() : error
  }
}

function tooLong(): GraphQLError {
  return new GraphQLError(`The operation's text is longer than ${LIMITS.queryBytes} bytes`, {
    extensions: { code: 'QUERY_TOO_COMPLEX', http: { status: 400 } },
  })
}
