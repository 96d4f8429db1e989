import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  GraphQLIncludeDirective,
  type GraphQLObjectType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getDirectiveValues,
  getNullableType,
  type InlineFragmentNode,
  isAbstractType,
  isLeafType,
  Kind,
  SchemaMetaFieldDef,
  type SelectionNode,
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  typeFromAST,
} from 'graphql'
import type { Context } from '../context.ts'
import { createArguments } from './arguments.ts'
import { createComplete } from './complete.ts'
import type { Document, FieldPlan, ObjectPlan, Variables } from './execution.ts'
import { keepsOf } from './leaves.ts'
import { createObject } from './object.ts'

/**
 * Plans what a selection asks of a type of object; what lies below a field is planned when it is first met.
 * @param conditions the variables of conditions that could not be evaluated: one that is met throws.
 * @throws GraphQLError
 */
export function planObject(
  document: Document,
  type: GraphQLObjectType,
  { sets, conditions }: { readonly sets: readonly SelectionSetNode[]; readonly conditions: Variables },
): ObjectPlan {
  const selected: Selected = { document, type, conditions, nodes: new Map(), visited: new Set() }
  for (const set of sets) collect(selected, set)
  const fields: FieldPlan[] = []
  for (const [key, nodes] of selected.nodes) {
    const definition = definitionOf(document.schema, type, nodes[0].name.value)
    if (definition) fields.push(planField(selected, definition, key, nodes))
  }
  return { fields, execute: createObject(fields) }
}

type Nodes = [FieldNode, ...FieldNode[]]

interface Selected {
  readonly document: Document
  readonly type: GraphQLObjectType
  readonly conditions: Variables
  /** By the keys of the answer. */
  readonly nodes: Map<string, Nodes>
  /** Names of fragments: one that comes twice adds nothing. */
  readonly visited: Set<string>
}

function collect(selected: Selected, set: SelectionSetNode): void {
  const { document, nodes, visited } = selected
  for (const selection of set.selections) {
    if (selection.kind === Kind.FRAGMENT_SPREAD && visited.has(selection.name.value)) continue
    if (!isIncluded(selection, selected.conditions)) continue
    if (selection.kind === Kind.FIELD) {
      const key = (selection.alias ?? selection.name).value
      const found = nodes.get(key)
      if (found) found.push(selection)
      else nodes.set(key, [selection])
      continue
    }
    if (selection.kind === Kind.FRAGMENT_SPREAD) visited.add(selection.name.value)
    const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? document.fragments[selection.name.value] : selection
    if (fragment && applies(fragment, selected)) collect(selected, fragment.selectionSet)
  }
}

/** Conditions that have a value were evaluated before: what is left of them throws. */
function isIncluded(selection: SelectionNode, conditions: Variables): boolean {
  if (!selection.directives?.length) return true
  if (getDirectiveValues(GraphQLSkipDirective, selection, conditions)?.['if'] === true) return false
  return getDirectiveValues(GraphQLIncludeDirective, selection, conditions)?.['if'] !== false
}

function applies(
  { typeCondition }: InlineFragmentNode | FragmentDefinitionNode,
  { document: { schema }, type }: Selected,
): boolean {
  if (!typeCondition) return true
  const condition = typeFromAST(schema, typeCondition)
  return condition === type || (isAbstractType(condition) && schema.isSubType(condition, type))
}

function planField(
  { document, type: parentType, conditions }: Selected,
  definition: GraphQLField<unknown, Context>,
  key: string,
  nodes: Nodes,
): FieldPlan {
  const isTypename = definition === TypeNameMetaFieldDef
  const nullable = getNullableType(definition.type)
  const isPlainLeaf = isLeafType(nullable) && !definition.resolve
  const plans = new Map<GraphQLObjectType, ObjectPlan>()
  const sets = nodes.flatMap(({ selectionSet }) => selectionSet ?? [])
  return {
    key,
    nodes,
    parentType,
    definition,
    isPlainLeaf: isTypename || isPlainLeaf,
    keeps: isPlainLeaf ? keepsOf(nullable) : undefined,
    complete: isTypename ? () => parentType.name : createComplete(definition.type),
    arguments: createArguments(definition, nodes[0]),
    below(type) {
      const known = plans.get(type)
      if (known) return known
      const made = planObject(document, type, { sets, conditions })
      plans.set(type, made)
      return made
    },
  }
}

function definitionOf(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  name: string,
): GraphQLField<unknown, Context> | undefined {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef
  if (type !== schema.getQueryType()) return type.getFields()[name]
  return [SchemaMetaFieldDef, TypeMetaFieldDef].find((meta) => meta.name === name) ?? type.getFields()[name]
}
