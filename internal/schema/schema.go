// Package schema writes JSON Schemas (draft 2020-12) of what people write for
// nudged and of what it writes: rule files, rule tests, the configuration, and
// the messages. Editors check and complete files with them, consumers generate
// code from them.
//
// The keys come from where they are read: the key tables of rulefile and
// ruletest, the struct of the configuration. Tests hold those of the messages
// against the structs of sinks, and see to it that everything is described.
package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// object is one JSON object of a schema.
type object = map[string]any

// kinds are the schemas by name.
var kinds = map[string]struct {
	title string
	build func() object
}{
	"rules":       {"Rule file", ruleFile},
	"ruletest":    {"Rule tests", ruleTest},
	"config":      {"Configuration (nudged.yaml)", configuration},
	"command":     {"Send command", command},
	"decision":    {"Decision", decision},
	"dead-letter": {"Headers of a dead letter", deadLetter},
}

// Names lists the schemas.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// Title says in a few words what a schema is of.
func Title(name string) string { return kinds[name].title }

// JSON returns a schema, indented. The error names those that there are.
func JSON(name string) ([]byte, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("there is no schema called %q: the schemas are %v", name, Names())
	}
	s := k.build()
	s["$schema"], s["$id"], s["title"] = draft, "urn:nudged:schema:"+name, k.title
	return json.MarshalIndent(s, "", "  ")
}

// closed is an object that has no other keys than these.
func closed(description string, properties object, required ...string) object {
	o := object{"type": "object", "additionalProperties": false, "properties": properties}
	if description != "" {
		o["description"] = description
	}
	if len(required) > 0 {
		slices.Sort(required)
		o["required"] = required
	}
	return o
}

func described(o object, description string) object {
	if description != "" {
		o["description"] = description
	}
	return o
}

func text() object { return object{"type": "string", "minLength": 1} }

func list(of object) object { return object{"type": "array", "items": of} }

// oneOrMore is one of a kind, or a list of them.
func oneOrMore(of object) object {
	return object{"anyOf": []object{of, {"type": "array", "items": of, "minItems": 1}}}
}

// duration is a span of time as rule files write it.
func duration() object {
	return object{"type": "string", "minLength": 2, "pattern": `^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$`}
}

const rfc3339 = `^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$`
