package telemetry

import "go.opentelemetry.io/otel/attribute"

// The names of everything that leaves the process as a metric or a span. Those of
// messaging and databases follow OpenTelemetry's semantic conventions 1.43. No
// name of a user is among the labels; spans have a hash.

// Labels of metrics.
const (
	labelTopic      = attribute.Key("topic")
	labelPartition  = attribute.Key("partition")
	labelRule       = attribute.Key("rule")
	labelDecision   = attribute.Key("decision")
	labelExperiment = attribute.Key("experiment")
	labelCheck      = attribute.Key("check")
	labelOutcome    = attribute.Key("outcome")
	labelStatus     = attribute.Key("http.response.status_code")
	labelDBSystem   = attribute.Key("db.system.name")
	labelDBCall     = attribute.Key("db.operation.name")
	labelDBError    = attribute.Key("error.type")
)

// Attributes of spans.
const (
	attrSystem        = attribute.Key("messaging.system")
	attrOperationName = attribute.Key("messaging.operation.name")
	attrOperationType = attribute.Key("messaging.operation.type")
	attrDestination   = attribute.Key("messaging.destination.name")
	attrPartition     = attribute.Key("messaging.destination.partition.id")
	attrGroup         = attribute.Key("messaging.consumer.group.name")
	attrMessageID     = attribute.Key("messaging.message.id")
	attrBatchSize     = attribute.Key("messaging.batch.message_count")

	attrSeq           = attribute.Key("nudged.batch.seq")
	attrStates        = attribute.Key("nudged.batch.states")
	attrOut           = attribute.Key("nudged.batch.records_out")
	attrDecisions     = attribute.Key("nudged.batch.decisions")
	attrRule          = attribute.Key("nudged.rule")
	attrStep          = attribute.Key("nudged.step")
	attrChannel       = attribute.Key("nudged.channel")
	attrExperiment    = attribute.Key("nudged.experiment")
	attrArm           = attribute.Key("nudged.arm")
	attrDue           = attribute.Key("nudged.due")
	attrUserHash      = attribute.Key("nudged.user.hash")
	attrTriggerID     = attribute.Key("nudged.trigger.id")
	attrTriggerType   = attribute.Key("nudged.trigger.type")
	attrTriggerOffset = attribute.Key("nudged.trigger.offset")
	attrTriggerTopic  = attribute.Key("nudged.trigger.topic")
	attrTriggerPart   = attribute.Key("nudged.trigger.partition")
)

// Events of a batch's span: its stages.
const (
	stageComputed  = "computed"
	stageStored    = "stored"
	stagePublished = "published"
)

const (
	scope       = "github.com/nudged/nudged"
	serviceName = "nudged"
)

// kind is a kind of metric.
type kind uint8

const (
	counter kind = iota
	gauge
	histogram
)

// metricDef describes a metric. Its name in Prometheus is the name with
// underscores for dots, the unit behind it, and _total behind counters.
type metricDef struct {
	name, unit, help string
	kind             kind
	labels           []attribute.Key
	bounds           []float64 // of a histogram
}

var (
	perPartition = []attribute.Key{labelTopic, labelPartition}
	perDecision  = []attribute.Key{labelRule, labelDecision}

	// fast are bounds in seconds for what takes milliseconds, slow for what may
	// take from milliseconds to a day.
	fast = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	slow = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}
)

// The metrics of nudged run.
var (
	mEvents       = metricDef{name: "nudged.events", unit: "{event}", help: "Events taken in", kind: counter}
	mUnread       = metricDef{name: "nudged.events.unread", unit: "{event}", help: "Events of types that no rule reads", kind: counter}
	mDuplicates   = metricDef{name: "nudged.events.duplicate", unit: "{event}", help: "Events whose id was seen before", kind: counter}
	mPulledBack   = metricDef{name: "nudged.events.pulled_back", unit: "{event}", help: "Events whose time was further ahead than max_ahead", kind: counter}
	mDeadLetters  = metricDef{name: "nudged.dead_letters", unit: "{record}", help: "Input records set aside", kind: counter}
	mMissing      = metricDef{name: "nudged.expressions.missing", unit: "{expression}", help: "Expressions that read what is not there", kind: counter}
	mMismatches   = metricDef{name: "nudged.attributes.mismatched", unit: "{value}", help: "Attribute values of another type than declared", kind: counter}
	mRefused      = metricDef{name: "nudged.instances.refused", unit: "{instance}", help: "Instances not started because their user has as much pending as is allowed", kind: counter}
	mFires        = metricDef{name: "nudged.fires", unit: "{fire}", help: "Users whose timers fired", kind: counter}
	mDecisions    = metricDef{name: "nudged.decisions", unit: "{decision}", help: "Decisions, by rule and what was decided: sent, or why not", kind: counter, labels: perDecision}
	mLateness     = metricDef{name: "nudged.timer.lateness", unit: "s", help: "From when a timer was due to when it fired", kind: histogram, bounds: slow}
	mSendLatency  = metricDef{name: "nudged.send.latency", unit: "s", help: "From when a command was due to when it was visible in the send topic", kind: histogram, bounds: slow}
	mBatch        = metricDef{name: "nudged.batch.duration", unit: "s", help: "From the first record of a batch to when Redis had it", kind: histogram, bounds: fast}
	mBatchWrite   = metricDef{name: "nudged.batch.write.duration", unit: "s", help: "The write of a batch to Redis, repeats included", kind: histogram, bounds: fast}
	mCommit       = metricDef{name: "nudged.commit.duration", unit: "s", help: "Kafka transactions", kind: histogram, bounds: fast, labels: []attribute.Key{labelOutcome}}
	mRedis        = metricDef{name: "db.client.operation.duration", unit: "s", help: "Round trips to Redis", kind: histogram, bounds: fast, labels: []attribute.Key{labelDBSystem, labelDBCall, labelDBError}}
	mBatches      = metricDef{name: "nudged.batches", unit: "{batch}", help: "Batches written", kind: counter}
	mStates       = metricDef{name: "nudged.states.written", unit: "{state}", help: "User states written to Redis", kind: counter}
	mLookups      = metricDef{name: "nudged.states.lookups", unit: "{state}", help: "User states needed", kind: counter}
	mLoads        = metricDef{name: "nudged.states.loads", unit: "{state}", help: "User states that were not in memory and were read from Redis", kind: counter}
	mTransactions = metricDef{name: "nudged.transactions", unit: "{transaction}", help: "Kafka transactions", kind: counter}
	mAborted      = metricDef{name: "nudged.transactions.aborted", unit: "{transaction}", help: "Kafka transactions that were not committed", kind: counter}
	mFenced       = metricDef{name: "nudged.writes.fenced", unit: "{write}", help: "Writes refused because another process owns the partition, or Redis has lost something", kind: counter}
	mStoreErrors  = metricDef{name: "nudged.store.errors", unit: "{call}", help: "Calls to Redis that failed and were repeated", kind: counter}
	mReplayed     = metricDef{name: "nudged.records.replayed", unit: "{record}", help: "Input records taken in again after Redis had lost something", kind: counter}
	mLagRecords   = metricDef{name: "nudged.consumer.lag", unit: "{record}", help: "Records of the partition that are not taken in yet", kind: gauge, labels: perPartition}
	mLagSeconds   = metricDef{name: "nudged.consumer.lag.time", unit: "s", help: "Age of the newest record taken in while others wait, else 0", kind: gauge, labels: perPartition}
	mClockLag     = metricDef{name: "nudged.clock.lag", unit: "s", help: "How far the partition clock is behind the wall clock", kind: gauge, labels: perPartition}
	mAutoPaused   = metricDef{name: "nudged.rule.auto_paused", unit: "{rule}", help: "1 while auto_pause has paused the rule, else 0", kind: gauge, labels: []attribute.Key{labelRule}}
	mAlarm        = metricDef{name: "nudged.experiment.alarm", unit: "{check}", help: "1 for each check of an experiment that has found something wrong, told by the process that counts", kind: gauge, labels: []attribute.Key{labelExperiment, labelCheck}}
	mReady        = metricDef{name: "nudged.partition.ready", unit: "{partition}", help: "1 while the partition is being processed, else 0", kind: gauge, labels: perPartition}
	mStopped      = metricDef{name: "nudged.partition.stopped", unit: "{partition}", help: "1 if the partition has stopped and waits for an answer", kind: gauge, labels: perPartition}
	mPending      = metricDef{name: "nudged.timers.pending", unit: "{timer}", help: "Entries in the timer index of the partition: users with something pending, and some whose pending has ended", kind: gauge, labels: perPartition}
)

var runMetrics = []*metricDef{
	&mEvents, &mUnread, &mDuplicates, &mPulledBack, &mDeadLetters, &mMissing, &mMismatches, &mRefused, &mFires, &mDecisions, &mLateness, &mSendLatency,
	&mBatch, &mBatchWrite, &mCommit, &mRedis, &mBatches, &mStates, &mLookups, &mLoads, &mTransactions, &mAborted, &mFenced, &mStoreErrors,
	&mReplayed, &mLagRecords, &mLagSeconds, &mClockLag, &mReady, &mAutoPaused, &mAlarm, &mStopped, &mPending,
}

// The metrics of nudged forward.
var (
	mForwarded          = metricDef{name: "nudged.forward.commands", unit: "{command}", help: "Commands that were taken", kind: counter}
	mForwardDeadLetters = metricDef{name: "nudged.forward.dead_letters", unit: "{command}", help: "Commands that were not taken and are in the dead-letter topic", kind: counter}
	mForwardUnderWay    = metricDef{name: "nudged.forward.under_way", unit: "{command}", help: "Commands read and not taken yet", kind: gauge}
	mForwardRequests    = metricDef{name: "nudged.forward.request.duration", unit: "s", help: "Requests, by status; 0 is no answer", kind: histogram, bounds: fast, labels: []attribute.Key{labelStatus}}
)

var forwardMetrics = []*metricDef{&mForwarded, &mForwardDeadLetters, &mForwardUnderWay, &mForwardRequests}
