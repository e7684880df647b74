package schema

import (
	"github.com/nudged/nudged/internal/ruletest"
)

// testDocs describe the keys of a test file, of a test, of an event and of an
// expectation.
var (
	testFileDocs = map[string]string{
		"rules": "the rule files, relative to this file",
		"start": "when the offsets of the tests begin, RFC 3339; default 2026-01-01T00:00:00Z",
		"tests": "the tests",
	}
	testDocs = map[string]string{
		"name":    "what it shows",
		"start":   "when offsets begin, RFC 3339",
		"arms":    "puts everybody into an arm: experiment to arm",
		"holdout": "false switches the holdout off",
		"events":  "what happens, in the order given",
		"until":   "how far the clock runs on; default: until nothing is pending",
		"expect":  "the decisions: all of them, by time, then user",
		"subset":  "those listed must be among the decisions, in any order",
	}
	eventDocs = map[string]string{
		"at":   "when it happens: an offset from the start, or RFC 3339",
		"type": "its type",
		"user": "whose it is",
		"id":   "default: e1, e2 and so on by place",
	}
	expectDocs = map[string]string{
		"at":             "when it was decided",
		"user":           "of whom",
		"rule":           "the rule",
		"decision":       "what was decided",
		"instance":       "the instance key",
		"step":           "the number of the send, from 0",
		"channel":        "of the message",
		"class":          "of the message",
		"template":       "of the message",
		"data":           "of the message, compared as a whole",
		"because":        "values that the condition rested on; those named are compared",
		"label":          "the text that the message has to be marked with",
		"experiment":     "the experiment that was asked",
		"arm":            "the arm of the user",
		"due":            "when it was due",
		"expires":        "when the message goes stale",
		"trigger":        "id of the event that started it",
		"value":          "what a conversion is worth",
		"again":          "whether it is a conversion after the first",
		"guardrail":      "the guardrail that was hit",
		"first_exposure": "whether an exposure is the first of the user, where that is counted",
	}
)

// ruleTest is the schema of a test file.
func ruleTest() object {
	word := object{"type": []string{"string", "number", "boolean"}} // as it is written
	when := object{"anyOf": []object{duration(), {"type": "string", "pattern": rfc3339}}}
	instant := object{"type": "string", "pattern": rfc3339}
	whichever := object{}
	kinds := map[string]object{
		"rules": oneOrMore(text()), "start": instant, "tests": list(object{"$ref": "#/$defs/test"}),
		"name": text(), "arms": {"type": "object", "additionalProperties": word}, "holdout": {"const": false},
		"events": list(object{"$ref": "#/$defs/event"}), "until": when, "expect": list(object{"$ref": "#/$defs/expectation"}), "subset": {"type": "boolean"},
		"at": when, "due": when, "expires": when, "type": text(), "decision": {"enum": ruletest.Outcomes()},
		"data": {"type": "object"}, "because": {"type": "object"}, "value": whichever, "again": {"type": "boolean"},
	}
	properties := func(keys []string, docs map[string]string) object {
		out := object{}
		for _, k := range keys {
			o := object{}
			for key, v := range kinds[k] {
				o[key] = v
			}
			if _, known := kinds[k]; !known {
				o["type"] = word["type"]
			}
			out[k] = described(o, docs[k])
		}
		return out
	}
	event := closed("an event; every other key is a field of its own", properties(ruletest.EventKeys, eventDocs), "at", "type", "user")
	event["additionalProperties"] = true
	event["properties"].(object)["time"] = false
	expectation := closed("a decision; only the keys given are compared", properties(ruletest.ExpectKeys(), expectDocs))
	expectation["minProperties"] = 1
	root := closed("", properties(ruletest.FileKeys, testFileDocs), "rules", "tests")
	root["$defs"] = object{
		"test":        closed("a test", properties(ruletest.TestKeys, testDocs), "name", "events"),
		"event":       event,
		"expectation": expectation,
	}
	return root
}
