package schema

import (
	"maps"
	"slices"

	"github.com/nudged/nudged/internal/ruletest"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks/kafka"
)

// messageDocs describe the fields that commands and decisions have.
var messageDocs = map[string]string{
	"command_id":    "names the decision: hash of rule, user, instance, step and triggering event, in hex; the same decision has the same id",
	"rule":          "the rule; empty where the user was forgotten",
	"user":          "the user",
	"instance":      "the instance key; empty for rules without one",
	"step":          "number of the send among those of the rule, from 0",
	"experiment":    "the experiment, where assignment was asked",
	"arm":           "the user's arm; holdout for who is held out",
	"phase":         "phase of the experiment, where it is not the first",
	"channel":       "what the rule's send says",
	"class":         "ad or transactional",
	"template":      "what the rule's send says",
	"label":         "a text that the message has to be marked with",
	"data":          "the values of the send",
	"data_dropped":  "the message was too large and goes without its data",
	"trigger":       "the event that started it",
	"due":           "when it was due",
	"fired":         "when it was decided",
	"expires":       "when the message goes stale",
	"rules_version": "hash of the rule files",
}

// decisionDocs are what decisions have beside.
var decisionDocs = map[string]string{
	"decision": "what was decided",
	"because":  "the values that the condition rested on",
	"value":    "what a conversion is worth",
	"again":    "a conversion of the user after the first",
}

var triggerDocs = map[string]string{
	"id":        "the event's id",
	"type":      "its type; schedule for an occurrence of a schedule, forget for an order to forget the user",
	"time":      "its time",
	"topic":     "where it was read; absent for a file",
	"partition": "where it was read",
	"offset":    "where it was read; -1 for an occurrence of a schedule",
}

func messageKey(name string) object {
	switch name {
	case "command_id":
		return object{"type": "string", "pattern": "^[0-9a-f]{32}$"}
	case "step":
		return object{"type": "integer", "minimum": 0}
	case "phase":
		return object{"type": "integer", "minimum": 2}
	case "data", "because":
		return object{"type": "object"}
	case "data_dropped", "again":
		return object{"const": true}
	case "due", "fired", "expires", "time":
		return object{"type": "string", "format": "date-time", "pattern": rfc3339}
	case "rules_version":
		return object{"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
	case "class":
		return object{"enum": []string{"ad", "transactional"}}
	case "decision":
		return object{"enum": append(ruletest.Outcomes(), string(rules.Armed), string(rules.Forgotten))}
	case "value":
		return object{"type": "number"}
	case "instance":
		return object{"type": "string"}
	case "partition":
		return object{"type": "integer", "minimum": 0}
	case "offset":
		return object{"type": "integer", "minimum": -1}
	case "trigger":
		properties := object{}
		for k, doc := range triggerDocs {
			properties[k] = described(messageKey(k), doc)
		}
		return closed("", properties, "id", "type", "time", "partition", "offset")
	}
	return object{"type": "string"}
}

func message(docs map[string]string, required ...string) object {
	properties := object{}
	for k, doc := range docs {
		properties[k] = described(messageKey(k), doc)
	}
	return closed("", properties, required...)
}

var always = []string{"command_id", "rule", "user", "instance", "step", "trigger", "due", "fired", "rules_version"}

// command is the schema of a send command.
func command() object {
	o := message(messageDocs, append(slices.Clone(always), "channel", "class", "template")...)
	o["oneOf"] = each("data", "data_dropped")
	return described(o, "a record of the send topic; its key is the user id")
}

// decision is the schema of a decision.
func decision() object {
	docs := maps.Clone(messageDocs)
	maps.Copy(docs, decisionDocs)
	return described(message(docs, append(slices.Clone(always), "decision")...), "a record of the decision topic; its key is the user id")
}

// deadLetter is the schema of the headers of a dead letter, beside those of the
// original record.
func deadLetter() object {
	number := object{"type": "string", "pattern": "^[0-9]+$"}
	o := closed("the headers of a dead letter as texts; key, value and other headers are those of the original record", object{
		kafka.ErrorHeader:     described(text(), "why it was not taken in"),
		kafka.TopicHeader:     described(text(), "the topic it was read from"),
		kafka.PartitionHeader: object{"type": number["type"], "pattern": number["pattern"], "description": "its partition"},
		kafka.OffsetHeader:    object{"type": number["type"], "pattern": number["pattern"], "description": "its offset"},
		kafka.TruncatedHeader: object{"type": number["type"], "pattern": number["pattern"], "description": "the value's size in bytes, if it was cut"},
	}, kafka.ErrorHeader, kafka.TopicHeader, kafka.PartitionHeader, kafka.OffsetHeader)
	o["additionalProperties"] = object{"type": "string"}
	return o
}
