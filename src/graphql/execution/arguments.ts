import {
  type FieldNode,
  type GraphQLArgument,
  GraphQLError,
  type GraphQLField,
  isNonNullType,
  Kind,
  type ValueNode,
  valueFromAST,
} from 'graphql'
import type { Context } from '../context.ts'
import type { Arguments, ArgumentsPlan, Variables } from './execution.ts'

/** The arguments that a field is resolved with, by its text and the variables; made once where no variable is in them. */
export function createArguments({ args }: GraphQLField<unknown, Context>, node: FieldNode): ArgumentsPlan {
  const given = new Map(node.arguments?.map(({ name, value }) => [name.value, value]))
  const coerce = (variables: Variables) => {
    const asking = { node, variables }
    const values: Record<string, unknown> = {}
    for (const arg of args) {
      const value = coerceArgument(arg, given.get(arg.name), asking)
      if (value !== undefined) values[arg.name] = value
    }
    return values
  }
  if ([...given.values()].some(holdsVariable)) return { isConstant: false, coerce }
  let constant: Arguments | undefined
  return {
    isConstant: true,
    coerce(variables) {
      constant ??= coerce(variables)
      return constant
    },
  }
}

function holdsVariable(value: ValueNode): boolean {
  if (value.kind === Kind.LIST) return value.values.some(holdsVariable)
  if (value.kind === Kind.OBJECT) return value.fields.some((field) => holdsVariable(field.value))
  return value.kind === Kind.VARIABLE
}

interface Asking {
  readonly node: FieldNode
  readonly variables: Variables
}

/** Undefined where it is left out. @throws GraphQLError that tells no value. */
function coerceArgument(
  { name, type, defaultValue }: GraphQLArgument,
  given: ValueNode | undefined,
  { node, variables }: Asking,
): unknown {
  const isVariable = given?.kind === Kind.VARIABLE
  if (!given || (isVariable && !Object.hasOwn(variables, given.name.value))) {
    if (defaultValue !== undefined || !isNonNullType(type)) return defaultValue
    throw new GraphQLError(`Argument "${name}" of required type "${type}" was not provided.`, { nodes: given ?? node })
  }
  const isNull = given.kind === Kind.NULL || (isVariable && variables[given.name.value] === null)
  if (isNull && isNonNullType(type)) {
    throw new GraphQLError(`Argument "${name}" of non-null type "${type}" must not be null.`, { nodes: given })
  }
  const value = valueFromAST(given, type, variables)
  // Values that the text holds itself were validated: what does not fit is a variable somewhere within.
  if (value === undefined) throw new GraphQLError(`Argument "${name}" has an invalid value.`, { nodes: given })
  return value
}
