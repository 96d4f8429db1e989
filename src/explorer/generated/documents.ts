/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** Where a step is found of two runs. */
export type Alignment =
  /** In both, at the same place in their order. */
  | 'MATCHED'
  /** In the first run; the other has none of its id, or has it elsewhere. */
  | 'ONLY_IN_BASE'
  /** In the second run; the first has none of its id, or has it elsewhere. */
  | 'ONLY_IN_OTHER';

/** What became of a value. */
export type DiffOp =
  /** It is new. */
  | 'ADDED'
  /** It is another value. */
  | 'CHANGED'
  /** It is the same, at another place in its array. */
  | 'MOVED'
  /** It is gone. */
  | 'REMOVED';

/** What became of a member of an object. */
export type DiffStatus =
  /** It is new. */
  | 'ADDED'
  /** It has another value; of a very large one that says the same in other words this may be told as well. */
  | 'CHANGED'
  /** It has the same value. */
  | 'EQUAL'
  /** It is gone. */
  | 'REMOVED';

/** Where a text is looked for. */
export type FindIn =
  /** In keys and values. */
  | 'ANYWHERE'
  /** In the keys of objects, unescaped. */
  | 'KEYS'
  /** In strings, unescaped, and in the source text of numbers. */
  | 'VALUES';

/** What a JSON value is. */
export type JsonType =
  /** Values, by index. */
  | 'ARRAY'
  /** `true` or `false`. */
  | 'BOOLEAN'
  /** `null`. */
  | 'NULL'
  /** A number of any length. */
  | 'NUMBER'
  /** Keys and values, in the order of the text. */
  | 'OBJECT'
  /** A text. */
  | 'STRING';

/** Every condition that is given must hold. */
export type RunFilter = {
  /** Earlier than this moment. */
  createdBefore?: string | null | undefined;
  /** At this moment or later. */
  createdFrom?: string | null | undefined;
  /** Whether the run failed, timed out, or has an error to tell; or none of these. */
  hasErrors?: boolean | null | undefined;
  /** Runs that this run started. */
  parentRunId?: string | null | undefined;
  /** The beginning of the run's id or of the workflow's name, letter for letter. */
  search?: string | null | undefined;
  /** Any of these. */
  status?: Array<RunStatus> | null | undefined;
  /** All of these. */
  tags?: Array<TagInput> | null | undefined;
  /** Exactly this. */
  workflowName?: string | null | undefined;
};

/** How far a run has come. */
export type RunStatus =
  /** Somebody ended it. */
  | 'CANCELED'
  /** It ended by an error. */
  | 'FAILED'
  /** It waits for its turn. */
  | 'QUEUED'
  /** It is under way. */
  | 'RUNNING'
  /** It ended, and did what it was to do. */
  | 'SUCCEEDED'
  /** It ended because it took too long. */
  | 'TIMED_OUT'
  /** No producer has said: it came with a step or a state of it. */
  | 'UNKNOWN';

/** What part a state plays in its step. */
export type SnapshotKind =
  /** Where it stood on the way. */
  | 'CHECKPOINT'
  /** Where it stood when it failed. */
  | 'ERROR'
  /** What the step began with. */
  | 'INPUT'
  /** What it ended with. */
  | 'OUTPUT';

/** How far a step has come. */
export type StepStatus =
  /** Somebody ended it. */
  | 'CANCELED'
  /** It ended by an error. */
  | 'FAILED'
  /** It waits for its turn. */
  | 'QUEUED'
  /** It is under way. */
  | 'RUNNING'
  /** It was left out. */
  | 'SKIPPED'
  /** It ended, and did what it was to do. */
  | 'SUCCEEDED'
  /** It ended because it took too long. */
  | 'TIMED_OUT'
  /** No producer has said: it came with a state of it. */
  | 'UNKNOWN';

/** What the last read of the payload showed. */
export type StorageState =
  /** It was there. */
  | 'AVAILABLE'
  /** Its bytes were not those that were captured. */
  | 'CORRUPT'
  /** Its object was gone. */
  | 'MISSING'
  /** Nobody has read it yet. */
  | 'UNKNOWN';

/** Where a payload lies. */
export type StorageTier =
  /** In PostgreSQL. */
  | 'INLINE'
  /** In object storage, behind a storage URI. */
  | 'OBJECT';

/** A label of a run. */
export type TagInput = {
  /** What is labelled. */
  key: string;
  /** The label. */
  value: string;
};

/** How the server knows who asks. */
export type ViewerMode =
  /** By a token that an issuer signed. */
  | 'JWT'
  /** By a link. */
  | 'LINK'
  /** It does not: it asks nobody. */
  | 'NONE'
  /** By a token of its file. */
  | 'TOKEN';

export type CompareQueryVariables = Exact<{
  base: string;
  other: string;
}>;


export type CompareQuery = { compareRuns: { base: { runId: string, workflowName: string | null, status: RunStatus, startedAt: string | null, createdAt: string, durationMs: number | null, tags: Array<{ key: string, value: string }>, stats: { stepCount: number, snapshotCount: number, totalBytes: number } | null }, other: { runId: string, workflowName: string | null, status: RunStatus, startedAt: string | null, createdAt: string, durationMs: number | null, tags: Array<{ key: string, value: string }>, stats: { stepCount: number, snapshotCount: number, totalBytes: number } | null }, firstDivergence: { alignment: Alignment, identical: boolean | null, base: { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null } | null, other: { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null } | null } | null } | null };

export type ComparedStepsQueryVariables = Exact<{
  base: string;
  other: string;
  after?: string | null | undefined;
}>;


export type ComparedStepsQuery = { compareRuns: { steps: { totalCount: number | null, nodes: Array<{ alignment: Alignment, identical: boolean | null, base: { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null } | null, other: { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } } | null };

export type StepPairFragment = { alignment: Alignment, identical: boolean | null, base: { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null } | null, other: { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null } | null };

export type StepSideFragment = { stepId: string, name: string | null, kind: string | null, status: StepStatus, attempt: number, durationMs: number | null, snapshot: { snapshotId: string, sizeBytes: number | null } | null };

export type DiffQueryVariables = Exact<{
  id: string | number;
  from?: string | number | null | undefined;
  pointer: string;
}>;


export type DiffQuery = { snapshotById: { diff: { identical: boolean, from: { runId: string, snapshotId: string, stepId: string | null, attempt: number, seq: number, kind: SnapshotKind, createdAt: string, sizeBytes: number | null, isSuccessState: boolean } | null, summary: Array<{ key: string, pointer: string, status: DiffStatus, fromSizeBytes: number | null, toSizeBytes: number | null }> | null } | null } | null };

export type ChangesQueryVariables = Exact<{
  id: string | number;
  from?: string | number | null | undefined;
  pointer: string;
  after?: string | null | undefined;
}>;


export type ChangesQuery = { snapshotById: { diff: { changes: { truncated: boolean, approximate: boolean, bytesRead: number, nodes: Array<{ op: DiffOp, pointer: string, fromPointer: string | null, before: { pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null } | null, after: { pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null } | null };

export type MarksQueryVariables = Exact<{
  id: string | number;
  from: string | number;
}>;


export type MarksQuery = { snapshotById: { diff: { changes: { nodes: Array<{ op: DiffOp, pointer: string }>, pageInfo: { hasNextPage: boolean } } | null } | null } | null };

export type RunEventsSubscriptionVariables = Exact<{
  runId: string;
  after?: string | null | undefined;
}>;


export type RunEventsSubscription = { runEvents:
    | { __typename: 'CaughtUp', cursor: string }
    | { __typename: 'RunEnded', cursor: string }
    | { __typename: 'RunUpdated', cursor: string }
    | { __typename: 'SnapshotCaptured', cursor: string, snapshot: { snapshotId: string, stepId: string | null, attempt: number, seq: number, kind: SnapshotKind, createdAt: string, sizeBytes: number | null, isSuccessState: boolean } }
    | { __typename: 'StepUpdated', cursor: string, step: { stepId: string, index: number | null, name: string | null, kind: string | null, status: StepStatus, attempt: number, startedAt: string | null, endedAt: string | null, durationMs: number | null, error: { type: string | null, message: string, stack: string | null } | null } }
   };

export type NewStatesSubscriptionVariables = Exact<{
  runId: string;
  after?: string | null | undefined;
}>;


export type NewStatesSubscription = { runEvents:
    | { __typename: 'CaughtUp', cursor: string }
    | { __typename: 'RunEnded', cursor: string }
    | { __typename: 'RunUpdated', cursor: string }
    | { __typename: 'SnapshotCaptured', cursor: string, snapshot: { snapshotId: string, stepId: string | null, seq: number } }
    | { __typename: 'StepUpdated', cursor: string }
   };

export type RunsUpdatedSubscriptionVariables = Exact<{
  filter?: RunFilter | null | undefined;
  after?: string | null | undefined;
}>;


export type RunsUpdatedSubscription = { runsUpdated:
    | { __typename: 'CaughtUp', cursor: string }
    | { __typename: 'RunUpdated', cursor: string, run: { runId: string, workflowName: string | null, status: RunStatus, startedAt: string | null, createdAt: string, durationMs: number | null, tags: Array<{ key: string, value: string }>, stats: { stepCount: number, snapshotCount: number, totalBytes: number } | null } | null }
   };

export type PlaceQueryVariables = Exact<{
  id: string | number;
  pointer: string;
}>;


export type PlaceQuery = { snapshotById: { at: { pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null } | null } | null };

export type ChildrenQueryVariables = Exact<{
  id: string | number;
  pointer: string;
  skip: number;
}>;


export type ChildrenQuery = { snapshotById: { at: { children: { totalCount: number | null, nodes: Array<{ pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null }>, pageInfo: { hasNextPage: boolean } } | null } | null } | null };

export type RawQueryVariables = Exact<{
  id: string | number;
  pointer: string;
  maxBytes: number;
}>;


export type RawQuery = { snapshotById: { at: { raw: string | null } | null } | null };

export type TableQueryVariables = Exact<{
  id: string | number;
  pointer: string;
  skip: number;
}>;


export type TableQuery = { snapshotById: { at: { children: { totalCount: number | null, nodes: Array<{ pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null, children: { nodes: Array<{ pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null }> } | null }>, pageInfo: { hasNextPage: boolean } } | null } | null } | null };

export type FindQueryVariables = Exact<{
  id: string | number;
  pointer: string;
  text: string;
  after?: string | null | undefined;
}>;


export type FindQuery = { snapshotById: { find: { scannedBytes: number, complete: boolean, nodes: Array<{ in: FindIn, excerpt: string, start: number, end: number, node: { pointer: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null };

export type PlaceFragment = { pointer: string, key: string | null, index: number | null, type: JsonType, sizeBytes: number, childCount: number | null, preview: string | null };

export type RunQueryVariables = Exact<{
  runId: string;
}>;


export type RunQuery = { run: { endedAt: string | null, runId: string, workflowName: string | null, status: RunStatus, startedAt: string | null, createdAt: string, durationMs: number | null, parentRun: { runId: string } | null, error: { type: string | null, message: string, stack: string | null } | null, latestSnapshot: { snapshotId: string, stepId: string | null, attempt: number, seq: number, kind: SnapshotKind, createdAt: string, sizeBytes: number | null, isSuccessState: boolean } | null, tags: Array<{ key: string, value: string }>, stats: { stepCount: number, snapshotCount: number, totalBytes: number } | null } | null };

export type StepsQueryVariables = Exact<{
  runId: string;
  after?: string | null | undefined;
}>;


export type StepsQuery = { run: { steps: { totalCount: number | null, nodes: Array<{ stepId: string, index: number | null, name: string | null, kind: string | null, status: StepStatus, attempt: number, startedAt: string | null, endedAt: string | null, durationMs: number | null, error: { type: string | null, message: string, stack: string | null } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null };

export type SnapshotsQueryVariables = Exact<{
  runId: string;
  after?: string | null | undefined;
}>;


export type SnapshotsQuery = { run: { snapshots: { totalCount: number | null, nodes: Array<{ snapshotId: string, stepId: string | null, attempt: number, seq: number, kind: SnapshotKind, createdAt: string, sizeBytes: number | null, isSuccessState: boolean }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null };

export type StepRowFragment = { stepId: string, index: number | null, name: string | null, kind: string | null, status: StepStatus, attempt: number, startedAt: string | null, endedAt: string | null, durationMs: number | null, error: { type: string | null, message: string, stack: string | null } | null };

export type MarkFragment = { snapshotId: string, stepId: string | null, attempt: number, seq: number, kind: SnapshotKind, createdAt: string, sizeBytes: number | null, isSuccessState: boolean };

export type RunsQueryVariables = Exact<{
  filter?: RunFilter | null | undefined;
  after?: string | null | undefined;
  before?: string | null | undefined;
  first?: number | null | undefined;
  last?: number | null | undefined;
}>;


export type RunsQuery = { runs: { totalCount: number | null, nodes: Array<{ runId: string, workflowName: string | null, status: RunStatus, startedAt: string | null, createdAt: string, durationMs: number | null, tags: Array<{ key: string, value: string }>, stats: { stepCount: number, snapshotCount: number, totalBytes: number } | null }>, pageInfo: { hasNextPage: boolean, hasPreviousPage: boolean, startCursor: string | null, endCursor: string | null } } };

export type RunRowFragment = { runId: string, workflowName: string | null, status: RunStatus, startedAt: string | null, createdAt: string, durationMs: number | null, tags: Array<{ key: string, value: string }>, stats: { stepCount: number, snapshotCount: number, totalBytes: number } | null };

export type SnapshotQueryVariables = Exact<{
  id: string | number;
}>;


export type SnapshotQuery = { snapshotById: { runId: string, digest: string | null, contentType: string, contentEncoding: string, storageTier: StorageTier, storageState: StorageState, isGolden: boolean, replaySafe: boolean, piiTags: Array<string>, redactionPolicy: string | null, metadata: unknown, preview: string | null, snapshotId: string, stepId: string | null, attempt: number, seq: number, kind: SnapshotKind, createdAt: string, sizeBytes: number | null, isSuccessState: boolean, step: { name: string | null, status: StepStatus } | null, run: { status: RunStatus }, previous: { snapshotId: string, seq: number } | null, next: { snapshotId: string, seq: number } | null } | null };

export type DownloadQueryVariables = Exact<{
  id: string | number;
}>;


export type DownloadQuery = { snapshotById: { download: { url: string } | null } | null };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { viewer: { name: string | null, scopes: Array<string>, mode: ViewerMode } };


export type TypedText<Data, Variables> = string & { readonly __types?: (variables: Variables) => Data }
export const CompareDocument: TypedText<CompareQuery, CompareQueryVariables> = "query Compare($base:String!$other:String!){compareRuns(baseRunId:$base otherRunId:$other){base{...RunRow}other{...RunRow}firstDivergence{...StepPair}}}fragment RunRow on Run{runId workflowName status tags{key value}startedAt createdAt durationMs stats{stepCount snapshotCount totalBytes}}fragment StepPair on StepComparison{alignment identical base{...StepSide}other{...StepSide}}fragment StepSide on Step{stepId name kind status attempt durationMs snapshot{snapshotId sizeBytes}}"
export const ComparedStepsDocument: TypedText<ComparedStepsQuery, ComparedStepsQueryVariables> = "query ComparedSteps($base:String!$other:String!$after:String){compareRuns(baseRunId:$base otherRunId:$other){steps(first:100 after:$after){nodes{...StepPair}pageInfo{hasNextPage endCursor}totalCount}}}fragment StepPair on StepComparison{alignment identical base{...StepSide}other{...StepSide}}fragment StepSide on Step{stepId name kind status attempt durationMs snapshot{snapshotId sizeBytes}}"
export const DiffDocument: TypedText<DiffQuery, DiffQueryVariables> = "query Diff($id:ID!$from:ID$pointer:JSONPointer!){snapshotById(snapshotId:$id){diff(from:$from pointer:$pointer){identical from{...Mark runId}summary{key pointer status fromSizeBytes toSizeBytes}}}}fragment Mark on Snapshot{snapshotId stepId attempt seq kind createdAt sizeBytes isSuccessState}"
export const ChangesDocument: TypedText<ChangesQuery, ChangesQueryVariables> = "query Changes($id:ID!$from:ID$pointer:JSONPointer!$after:String){snapshotById(snapshotId:$id){diff(from:$from pointer:$pointer){changes(first:100 after:$after){nodes{op pointer fromPointer before{...Place}after{...Place}}pageInfo{hasNextPage endCursor}truncated approximate bytesRead}}}}fragment Place on JsonNode{pointer key index type sizeBytes childCount preview}"
export const MarksDocument: TypedText<MarksQuery, MarksQueryVariables> = "query Marks($id:ID!$from:ID!){snapshotById(snapshotId:$id){diff(from:$from){changes(first:100){nodes{op pointer}pageInfo{hasNextPage}}}}}"
export const RunEventsDocument: TypedText<RunEventsSubscription, RunEventsSubscriptionVariables> = "subscription RunEvents($runId:String!$after:String){runEvents(runId:$runId after:$after){__typename ...on RunUpdated{cursor}...on StepUpdated{cursor step{...StepRow}}...on SnapshotCaptured{cursor snapshot{...Mark}}...on CaughtUp{cursor}...on RunEnded{cursor}}}fragment StepRow on Step{stepId index name kind status attempt startedAt endedAt durationMs error{type message stack}}fragment Mark on Snapshot{snapshotId stepId attempt seq kind createdAt sizeBytes isSuccessState}"
export const NewStatesDocument: TypedText<NewStatesSubscription, NewStatesSubscriptionVariables> = "subscription NewStates($runId:String!$after:String){runEvents(runId:$runId after:$after){__typename ...on RunUpdated{cursor}...on StepUpdated{cursor}...on SnapshotCaptured{cursor snapshot{snapshotId stepId seq}}...on CaughtUp{cursor}...on RunEnded{cursor}}}"
export const RunsUpdatedDocument: TypedText<RunsUpdatedSubscription, RunsUpdatedSubscriptionVariables> = "subscription RunsUpdated($filter:RunFilter$after:String){runsUpdated(filter:$filter after:$after){__typename ...on RunUpdated{cursor run{...RunRow}}...on CaughtUp{cursor}}}fragment RunRow on Run{runId workflowName status tags{key value}startedAt createdAt durationMs stats{stepCount snapshotCount totalBytes}}"
export const PlaceDocument: TypedText<PlaceQuery, PlaceQueryVariables> = "query Place($id:ID!$pointer:JSONPointer!){snapshotById(snapshotId:$id){at(pointer:$pointer){...Place}}}fragment Place on JsonNode{pointer key index type sizeBytes childCount preview}"
export const ChildrenDocument: TypedText<ChildrenQuery, ChildrenQueryVariables> = "query Children($id:ID!$pointer:JSONPointer!$skip:Int!){snapshotById(snapshotId:$id){at(pointer:$pointer){children(first:100 skip:$skip){nodes{...Place}pageInfo{hasNextPage}totalCount}}}}fragment Place on JsonNode{pointer key index type sizeBytes childCount preview}"
export const RawDocument: TypedText<RawQuery, RawQueryVariables> = "query Raw($id:ID!$pointer:JSONPointer!$maxBytes:Int!){snapshotById(snapshotId:$id){at(pointer:$pointer){raw(maxBytes:$maxBytes)}}}"
export const TableDocument: TypedText<TableQuery, TableQueryVariables> = "query Table($id:ID!$pointer:JSONPointer!$skip:Int!){snapshotById(snapshotId:$id){at(pointer:$pointer){children(first:50 skip:$skip){nodes{...Place children(first:20){nodes{...Place}}}pageInfo{hasNextPage}totalCount}}}}fragment Place on JsonNode{pointer key index type sizeBytes childCount preview}"
export const FindDocument: TypedText<FindQuery, FindQueryVariables> = "query Find($id:ID!$pointer:JSONPointer!$text:String!$after:String){snapshotById(snapshotId:$id){find(pointer:$pointer text:$text first:50 after:$after){nodes{node{pointer}in excerpt start end}pageInfo{hasNextPage endCursor}scannedBytes complete}}}"
export const RunDocument: TypedText<RunQuery, RunQueryVariables> = "query Run($runId:String!){run(runId:$runId){...RunRow endedAt parentRun{runId}error{type message stack}latestSnapshot{...Mark}}}fragment RunRow on Run{runId workflowName status tags{key value}startedAt createdAt durationMs stats{stepCount snapshotCount totalBytes}}fragment Mark on Snapshot{snapshotId stepId attempt seq kind createdAt sizeBytes isSuccessState}"
export const StepsDocument: TypedText<StepsQuery, StepsQueryVariables> = "query Steps($runId:String!$after:String){run(runId:$runId){steps(first:100 after:$after){nodes{...StepRow}pageInfo{hasNextPage endCursor}totalCount}}}fragment StepRow on Step{stepId index name kind status attempt startedAt endedAt durationMs error{type message stack}}"
export const SnapshotsDocument: TypedText<SnapshotsQuery, SnapshotsQueryVariables> = "query Snapshots($runId:String!$after:String){run(runId:$runId){snapshots(first:100 after:$after){nodes{...Mark}pageInfo{hasNextPage endCursor}totalCount}}}fragment Mark on Snapshot{snapshotId stepId attempt seq kind createdAt sizeBytes isSuccessState}"
export const RunsDocument: TypedText<RunsQuery, RunsQueryVariables> = "query Runs($filter:RunFilter$after:String$before:String$first:Int$last:Int){runs(first:$first after:$after last:$last before:$before filter:$filter){nodes{...RunRow}pageInfo{hasNextPage hasPreviousPage startCursor endCursor}totalCount}}fragment RunRow on Run{runId workflowName status tags{key value}startedAt createdAt durationMs stats{stepCount snapshotCount totalBytes}}"
export const SnapshotDocument: TypedText<SnapshotQuery, SnapshotQueryVariables> = "query Snapshot($id:ID!){snapshotById(snapshotId:$id){...Mark runId digest contentType contentEncoding storageTier storageState isGolden replaySafe piiTags redactionPolicy metadata preview step{name status}run{status}previous{snapshotId seq}next{snapshotId seq}}}fragment Mark on Snapshot{snapshotId stepId attempt seq kind createdAt sizeBytes isSuccessState}"
export const DownloadDocument: TypedText<DownloadQuery, DownloadQueryVariables> = "query Download($id:ID!){snapshotById(snapshotId:$id){download{url}}}"
export const ViewerDocument: TypedText<ViewerQuery, ViewerQueryVariables> = "query Viewer{viewer{name scopes mode}}"