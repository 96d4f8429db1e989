import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  type GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  isNonNullType,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'
import type { Context } from '../graphql/context.ts'
import { refuseLargePages } from '../graphql/limits.ts'

export interface CompiledExecution {
  /** Sees what Yoga executes, and compiles the queries that come again. */
  readonly plugin: Plugin<Context>
  /**
   * Executes a query that Yoga has parsed, validated and executed before, without asking it once more.
   * @returns undefined for any other operation, and for variables that do not fit: Yoga says what is wrong with them.
   */
  execute(params: GraphQLParams, context: Context): Promise<ExecutionResult | undefined>
}

interface CompiledOperation {
  readonly query: CompiledQuery['query']
  /** The compiled function is laxer than graphql-js: it takes a list for an object, and null for a condition. */
  readonly fits: (variables: Record<string, unknown>) => boolean
  /** @throws GraphQLError `QUERY_TOO_COMPLEX`. */
  readonly refuseLargePages: (variables: Record<string, unknown>) => void
}

/** An operation that was executed once, or one that is executed as usual for ever. */
type Known = CompiledOperation | 'seen' | 'interpreted'

/** Compiling costs as much as some hundred executions save, so a query is compiled when it comes for the second time. */
export function createCompiledExecution(maskError: (error: unknown) => GraphQLError): CompiledExecution {
  const operations = new LRUCache<string, Known>({ max: 256 })
  const nameOf = (params: GraphQLParams) => `${params.operationName ?? ''}\n${params.query}`

  return {
    plugin: {
      onExecute({ args }) {
        const name = nameOf(args.contextValue.params)
        const known = operations.get(name)
        if (!known) operations.set(name, 'seen')
        else if (known === 'seen') operations.set(name, compile(args as ExecutionArgs))
      },
    },
    async execute(params, context) {
      const known = operations.get(nameOf(params))
      if (typeof known !== 'object') return undefined
      try {
        const variables = params.variables ?? {}
        known.refuseLargePages(variables)
        if (!known.fits(variables)) return undefined
        const { data, errors } = await known.query(undefined, context, variables)
        if (data === undefined) return undefined
        return errors ? { data, errors: errors.map((error) => maskError(withOrigin(error))) } : { data }
      } catch (error) {
        return { errors: [maskError(error)] }
      }
    },
  }
}

function isIntrospection({ selectionSet }: OperationDefinitionNode): boolean {
  return selectionSet.selections.some(
    (field) => field.kind === Kind.FIELD && /^__(schema|type)$/.test(field.name.value),
  )
}

function compile({ schema, document, operationName }: ExecutionArgs): Known {
  const operation = getOperationAST(document, operationName)
  // Mutations cost more than their execution, and introspection takes longer to compile than it would ever save.
  if (operation?.operation !== 'query' || isIntrospection(operation)) return 'interpreted'
  const compiled = compileQuery(schema, document, operationName ?? undefined, {
    disableLeafSerialization: true,
    disablingCapturingStackErrors: true,
  })
  if (!isCompiledQuery(compiled)) return 'interpreted'
  const { variableDefinitions = [] } = operation
  const required = variablesInNonNullPlaces(schema, document)
  return {
    query: compiled.query,
    refuseLargePages: (variables) => refuseLargePages(operation, document, variables),
    fits(variables) {
      const { coerced } = getVariableValues(schema, variableDefinitions, variables, { maxErrors: 1 })
      return coerced !== undefined && !required.some((name) => coerced[name] === null)
    },
  }
}

/** What a compiled operation finds by itself, such as a null where none may be, is a fault of the server, as graphql-js has it. */
function withOrigin(error: GraphQLError): GraphQLError {
  return error.originalError ? error : Object.create(error, { originalError: { value: new Error(error.message) } })
}

/** A variable with a default may stand there although its own type allows null: then null is a fault of the field. */
function variablesInNonNullPlaces(schema: GraphQLSchema, document: DocumentNode): readonly string[] {
  const names = new Set<string>()
  const types = new TypeInfo(schema)
  const enter = ({ name }: { readonly name: { readonly value: string } }) => {
    if (isNonNullType(types.getInputType())) names.add(name.value)
  }
  visit(document, visitWithTypeInfo(types, { Variable: { enter } }))
  return [...names]
}
