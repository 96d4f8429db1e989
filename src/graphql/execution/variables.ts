import {
  GraphQLError,
  type GraphQLInputType,
  type GraphQLSchema,
  isNonNullType,
  type OperationDefinitionNode,
  typeFromAST,
  type VariableDefinitionNode,
  valueFromAST,
} from 'graphql'
import type { JsonLocator } from '../../json/locator.ts'
import { locateVariables } from '../json-text.ts'
import type { Variables } from './execution.ts'
import { createCoerce, type Problem } from './input.ts'

export interface CoercedVariables {
  /** Without a prototype: any name may be asked for. Of no use where there are errors. */
  readonly values: Variables
  /** Each at its variable's definition. None holds anything of what was given. */
  readonly errors: readonly GraphQLError[]
}

/** The variables of one operation, by the rules of graphql-js; with the `body` that they came in JSON keeps its text. */
export function createVariables(
  schema: GraphQLSchema,
  { variableDefinitions = [] }: OperationDefinitionNode,
): (given: Variables, body?: string) => CoercedVariables {
  const variables = variableDefinitions.map((definition) => createVariable(schema, definition))
  return (given, body) => {
    const values: Record<string, unknown> = Object.create(null)
    const errors: GraphQLError[] = []
    const locate = body === undefined ? undefined : locateVariables(body)
    for (const { name, coerce } of variables) {
      const value = coerce(given, { errors, locate })
      if (value !== undefined) values[name] = value
    }
    return { values, errors }
  }
}

interface Coercing {
  readonly errors: GraphQLError[]
  /** Where the text of a value can be found; undefined where nobody kept it. */
  readonly locate: JsonLocator | undefined
}

function createVariable(schema: GraphQLSchema, definition: VariableDefinitionNode) {
  const { variable, defaultValue } = definition
  const name = variable.name.value
  // Validated: a variable of an unknown type, or of one that is no input, does not come here.
  const type = typeFromAST(schema, definition.type as never) as unknown as GraphQLInputType
  const fallback = defaultValue && valueFromAST(defaultValue, type)
  const coerce = createCoerce(type)
  return {
    name,
    /** Undefined where it is left out, and where it does not fit. */
    coerce(given: Variables, { errors, locate }: Coercing): unknown {
      const tell = (text: string) => errors.push(new GraphQLError(`Variable "$${name}" ${text}`, { nodes: definition }))
      if (Object.hasOwn(given, name)) {
        const problems: Problem[] = []
        const textAt = locate && ((path: Problem['path']) => locate([name, ...path]))
        const value = coerce(given[name], { path: [], problems, textAt })
        for (const { path, message } of problems) tell(`is invalid${placeOf(name, path)}: ${message}`)
        return value
      }
      if (!defaultValue && isNonNullType(type)) tell(`of type ${type} is required`)
      return fallback
    },
  }
}

function placeOf(name: string, path: Problem['path']): string {
  if (path.length === 0) return ''
  return ` at "${name}${path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('')}"`
}
