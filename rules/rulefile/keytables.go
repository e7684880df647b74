package rulefile

import "math"

// The key tables: everything that may be written in a rule file. Errors, the
// reference and the JSON Schema go by them.

var fileKeys = KeyTable{Name: "file", What: "a rule file", Keys: []Key{
	{Name: "attributes", Kind: NamedKey, Table: "attribute", Doc: "what is remembered about a user, by name"},
	{Name: "metrics", Kind: NamedKey, Table: "metric", Doc: "what is counted about a user, by name"},
	{Name: "audiences", Kind: NamedTextKey, Doc: "conditions on a user that have a name"},
	{Name: "experiments", Kind: NamedKey, Table: "experiment", Doc: "experiments that rules may name"},
	{Name: "holdout", Kind: TableKey, Table: "holdout", Doc: "users that get no nudge of any rule"},
	{Name: "policy", Kind: TableKey, Table: "policy", Doc: "what holds for the messages of all rules"},
	{Name: "rules", Kind: ListKey, Table: "rule", Doc: "the rules, in order"},
}}

var attributeTypeWords = []string{"int", "float", "double", "string", "bool", "timestamp"}

var attributeKeys = KeyTable{Name: "attribute", What: "an attribute", Keys: []Key{
	{Name: "type", Kind: WordKey, Words: attributeTypeWords, Required: true, Doc: "what it holds; values of another type are ignored and counted"},
	{Name: "from", Kind: ExpressionKey, Required: true, Doc: "where its value comes from, such as event.age"},
	{Name: "on", Kind: TypesKey, Required: true, Doc: "the events that carry it"},
}}

var metricKeys = KeyTable{Name: "metric", What: "a metric", Keys: []Key{
	{Name: "count", Kind: TypesKey, Doc: "counts events of these types"},
	{Name: "sum", Kind: ExpressionKey, Doc: "adds up this number of the events in on"},
	{Name: "distinct", Kind: ExpressionKey, Doc: "counts the different values of this among the events in on"},
	{Name: "first", Kind: TypesKey, Doc: "the time of the earliest event of these types"},
	{Name: "last", Kind: TypesKey, Doc: "the time of the latest event of these types"},
	{Name: "value", Kind: ExpressionKey, Doc: "what this was in the latest of the events in on"},
	{Name: "on", Kind: TypesKey, Doc: "the events of a sum, distinct or value"},
	{Name: "where", Kind: ConditionKey, Doc: "only events for which this holds"},
	{Name: "by", Kind: ExpressionKey, Doc: "event.field: counts apart by the value of that field"},
	{Name: "within", Kind: DurationKey, Doc: "the window; without it: since ever"},
	{Name: "reset", Kind: TypesKey, Doc: "events that clear it"},
}}

var experimentKeys = KeyTable{Name: "experiment", What: "an experiment", Keys: []Key{
	{Name: "arms", Kind: ListKey, Table: "arm", Required: true, Doc: "the arms in the order of their ranges; control is not sent to"},
	{Name: "salt", Kind: TextKey, Doc: "of the hash; default: the experiment's name; fixed once it runs"},
	{Name: "coverage", Kind: WholeKey, Low: 1, High: 100, Doc: "percent of each arm's range that takes part, default 100"},
	{Name: "phase", Kind: WholeKey, Low: 1, High: math.MaxInt32, Doc: "raised by one when arms, weights, salt or layer change; default 1"},
	{Name: "layer", Kind: TableKey, Table: "layer", Doc: "the part of the users that this experiment has for itself"},
	{Name: "goal", Kind: TableKey, Table: "goal", Doc: "the event that it wants to bring about"},
	{Name: "guardrails", Kind: ListKey, Table: "guardrail", Doc: "events that its messages must not bring about too often"},
}}

var armKeys = KeyTable{Name: "arm", What: "an arm", Keys: []Key{
	{Name: "name", Kind: TextKey, Required: true, Doc: "control is the arm that is not sent to"},
	{Name: "weight", Kind: WholeKey, Low: 1, High: 1_000_000_000, Required: true, Doc: "its share of all weights"},
}}

var layerKeys = KeyTable{Name: "layer", What: "a layer", Keys: []Key{
	{Name: "name", Kind: TextKey, Required: true, Doc: "the layer that mutually exclusive experiments share"},
	{Name: "from", Kind: WholeKey, Low: 0, High: 100, Required: true, Doc: "the first percent inside"},
	{Name: "to", Kind: WholeKey, Low: 0, High: 100, Required: true, Doc: "the first percent outside"},
}}

var goalKeys = KeyTable{Name: "goal", What: "a goal", Keys: []Key{
	{Name: "on", Kind: TypesKey, Required: true, Doc: "the events that count as a conversion"},
	{Name: "where", Kind: ConditionKey, Doc: "only events for which this holds"},
	{Name: "within", Kind: DurationKey, Required: true, Doc: "how long after the exposure"},
	{Name: "value", Kind: ExpressionKey, Doc: "what a conversion is worth, a number"},
}}

var guardrailKeys = KeyTable{Name: "guardrail", What: "a guardrail", Keys: []Key{
	{Name: "name", Kind: TextKey, Required: true, Doc: "what decisions and reports call it, such as unsubscribed"},
	{Name: "on", Kind: TypesKey, Required: true, Doc: "the events that must not come too often"},
	{Name: "where", Kind: ConditionKey, Doc: "only events for which this holds"},
	{Name: "within", Kind: DurationKey, Required: true, Doc: "how long after the exposure"},
	{Name: "max_percent", Kind: NumberKey, Low: 0, High: 100, Doc: "how many percent of an arm's exposed users that may happen to"},
	{Name: "max_ratio", Kind: NumberKey, Low: 1, High: maxGuardrailRatio, Doc: "to how many times as many of an arm's users as of the control's"},
}, misplaced: map[string]string{
	"max": "say of what: max_percent: 2 (of an arm's exposed users), or max_ratio: 1.5 (times the control's)",
}}

var holdoutKeys = KeyTable{Name: "holdout", What: "a holdout", Keys: []Key{
	{Name: "percent", Kind: NumberKey, Low: 0, High: 100, Required: true, Doc: "how many of the users, in steps of 0.01"},
	{Name: "salt", Kind: TextKey, Required: true, Doc: "of the hash; a new one holds other users out"},
}}

var policyKeys = KeyTable{Name: "policy", What: "a policy", Keys: []Key{
	{Name: "caps", Kind: TableListKey, Table: "cap", Doc: "how many messages a user may get"},
	{Name: "quiet_hours", Kind: TableListKey, Table: "quiet_hours", Doc: "hours of the user's day in which nothing goes out"},
	{Name: "consent", Kind: TableListKey, Table: "consent", Doc: "what a user has to have agreed to"},
	{Name: "profile", Kind: WordKey, Words: profiles, Doc: "fills the policy in as the law of a country asks"},
}}

var profiles = []string{"kr"}

var capKeys = KeyTable{Name: "cap", What: "a cap", Keys: []Key{
	{Name: "class", Kind: WordKey, Words: []string{"ad"}, Doc: "only messages of this class count; default: every class but transactional"},
	{Name: "channel", Kind: TextKey, Doc: "only messages of this channel count; default: every channel"},
	{Name: "max", Kind: WholeKey, Low: 1, High: maxCap, Required: true, Doc: "how many"},
	{Name: "per", Kind: DurationKey, Required: true, Doc: "in which time"},
}, misplaced: map[string]string{"within": "a cap says per: 24h", "window": "a cap says per: 24h"}}

var quietKeys = KeyTable{Name: "quiet_hours", What: "quiet_hours", Keys: []Key{
	{Name: "class", Kind: WordKey, Words: []string{"ad"}, Required: true, Doc: "the class of message that is held back"},
	{Name: "from", Kind: ClockKey, Required: true, Doc: "the first minute that is quiet, local time"},
	{Name: "to", Kind: ClockKey, Required: true, Doc: "the first minute that is not"},
	{Name: "timezone", Kind: ExpressionKey, Doc: "the user's zone, such as user.timezone; or a fixed one: Asia/Seoul"},
	{Name: "default_timezone", Kind: ZoneKey, Doc: "of users whose zone is not known; default UTC"},
	{Name: "then", Kind: WordKey, Words: []string{"defer", "skip"}, Doc: "defer (default): sent when they end; skip: not sent"},
}}

var consentKeys = KeyTable{Name: "consent", What: "a consent", Keys: []Key{
	{Name: "class", Kind: WordKey, Words: []string{"ad"}, Required: true, Doc: "the class of message that needs it"},
	{Name: "require", Kind: AttributeKey, Required: true, Doc: "a bool attribute that has to be true"},
	{Name: "night", Kind: AttributeKey, Doc: "a bool attribute that lifts quiet hours"},
}}

const (
	belongsIntoSend = "it belongs into send: {channel: …, class: …, template: …, data: {…}}"
	belongsToPolicy = "it belongs into policy: at the top of the file, and holds for all rules"
	isAStep         = "it is a step: steps: [{wait_for: {on: …, within: …}, then: […], else: […]}]"
)

var ruleKeys = KeyTable{Name: "rule", What: "a rule", Keys: []Key{
	{Name: "name", Kind: TextKey, Required: true, Doc: "of its own; pending instances go by it"},
	{Name: "on", Kind: TypesKey, Doc: "the events that start it"},
	{Name: "where", Kind: ConditionKey, Doc: "asked of the triggering event"},
	{Name: "key", Kind: ExpressionKey, Doc: "one instance for each value; without it one for each user"},
	{Name: "schedule", Kind: TableKey, Table: "schedule", Doc: "starts it at set times instead of by events"},
	{Name: "audience", Kind: ConditionKey, Doc: "the users whom a schedule starts it for: an audience's name, or a condition"},
	{Name: "wait", Kind: DurationKey, Doc: "how long it waits before it sends"},
	{Name: "wait_until", Kind: ExpressionKey, Doc: "a time up to which it waits"},
	{Name: "restart", Kind: BoolKey, Doc: "a new trigger takes the pending instance's place; default false"},
	{Name: "unless", Kind: ListKey, Table: "unless", Doc: "events that end a pending instance"},
	{Name: "exit", Kind: ListKey, Table: "unless", Doc: "another word for unless"},
	{Name: "when", Kind: ConditionKey, Doc: "asked whenever it is about to send"},
	{Name: "cooldown", Kind: DurationKey, Doc: "per user and rule, from the last send"},
	{Name: "expire_after", Kind: DurationKey, Doc: "fired later than this after due: not sent"},
	{Name: "priority", Kind: WholeKey, Low: math.MinInt32, High: math.MaxInt32, Doc: "who goes first at the same moment: higher first, default 0"},
	{Name: "experiment", Kind: TextKey, Doc: "the experiment that decides who is sent to"},
	{Name: "paused", Kind: BoolKey, Doc: "instances wait without firing; default false"},
	{Name: "auto_pause", Kind: BoolKey, Doc: "pauses itself when the experiment's sample ratio is wrong or a guardrail is past its limit; default false"},
	{Name: "cost", Kind: TableKey, Table: "cost", Doc: "what a message costs, for reports"},
	{Name: "steps", Kind: ListKey, Table: "step", Doc: "several messages and waits, instead of wait and send"},
	{Name: "send", Kind: TableKey, Table: "send", Doc: "the message"},
}, misplaced: map[string]string{
	"channel": belongsIntoSend, "class": belongsIntoSend, "template": belongsIntoSend, "data": belongsIntoSend,
	"wait_for": isAStep, "then": isAStep, "else": isAStep,
	"caps": belongsToPolicy, "quiet_hours": belongsToPolicy, "consent": belongsToPolicy,
	"cron": `write schedule: {cron: "0 9 * * *"}`, "at": `write schedule: {at: "2026-11-27T09:00"}`,
	"timezone":   `it belongs into schedule: {cron: "0 9 * * *", timezone: Asia/Seoul}`,
	"goal":       "it belongs to an experiment, which the rule then names",
	"guardrails": "it belongs to an experiment, which the rule then names; the rule says auto_pause: true",
}}

var unlessKeys = KeyTable{Name: "unless", What: "an unless clause", Keys: []Key{
	{Name: "on", Kind: TypesKey, Required: true, Doc: "the events that end the instance"},
	{Name: "where", Kind: ConditionKey, Doc: "only events for which this holds"},
}}

var sendKeys = KeyTable{Name: "send", What: "a send", Keys: []Key{
	{Name: "channel", Kind: TextKey, Required: true, Doc: "a text for your sender, such as push"},
	{Name: "class", Kind: WordKey, Words: classes, Required: true, Doc: "transactional messages know no caps, quiet hours and consent"},
	{Name: "template", Kind: TextKey, Required: true, Doc: "a text for your sender"},
	{Name: "data", Kind: NamedTextKey, Doc: "values for the template: expressions"},
}}

var stepKeys = KeyTable{Name: "step", What: "a step", Keys: []Key{
	{Name: "send", Kind: TableKey, Table: "send", Doc: "sends a message"},
	{Name: "wait", Kind: DurationKey, Doc: "waits so long"},
	{Name: "wait_until", Kind: ExpressionKey, Doc: "waits up to a time"},
	{Name: "wait_for", Kind: TableKey, Table: "wait_for", Doc: "waits for an event"},
	{Name: "then", Kind: ListKey, Table: "step", Doc: "the steps after a wait_for whose event came"},
	{Name: "else", Kind: ListKey, Table: "step", Doc: "the steps after a wait_for whose event did not come in time"},
	{Name: "unless", Kind: ListKey, Table: "unless", Doc: "events that end the instance while it is at this step"},
	{Name: "exit", Kind: ListKey, Table: "unless", Doc: "another word for unless"},
}, misplaced: map[string]string{
	"channel": belongsIntoSend, "class": belongsIntoSend, "template": belongsIntoSend, "data": belongsIntoSend,
	"when":   "it belongs to the rule, where it is asked at every send; or branch with wait_for",
	"on":     "it belongs into wait_for: {on: …, within: …}",
	"within": "it belongs into wait_for: {on: …, within: …}",
	"steps":  "write the steps one after the other; only then and else hold steps",
}}

const besideWaitFor = "write it beside wait_for, not inside of it"

var waitForKeys = KeyTable{Name: "wait_for", What: "a wait_for", Keys: []Key{
	{Name: "on", Kind: TypesKey, Required: true, Doc: "the events that it waits for"},
	{Name: "where", Kind: ConditionKey, Doc: "only events for which this holds"},
	{Name: "within", Kind: DurationKey, Required: true, Doc: "how long it waits"},
}, misplaced: map[string]string{"then": besideWaitFor, "else": besideWaitFor, "unless": besideWaitFor, "exit": besideWaitFor}}

var scheduleKeys = KeyTable{Name: "schedule", What: "a schedule", Keys: []Key{
	{Name: "at", Kind: LocalTimeKey, Doc: "once, at this local time"},
	{Name: "cron", Kind: CronKey, Doc: "again and again: minute hour day month weekday, local time"},
	{Name: "timezone", Kind: ZoneKey, Doc: "whose local time; default UTC"},
}, misplaced: map[string]string{"audience": "write it beside schedule, not inside of it"}}

var costKeys = KeyTable{Name: "cost", What: "a cost", Keys: []Key{
	{Name: "send", Kind: NumberKey, Low: 0, High: maxCost, Doc: "of every message sent"},
	{Name: "coupon", Kind: NumberKey, Low: 0, High: maxCost, Doc: "of every conversion"},
}}

const (
	maxCap  = 1000
	maxCost = 1_000_000_000

	maxGuardrailRatio = 1000
)
