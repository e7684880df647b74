package schema

import "github.com/nudged/nudged/rules/rulefile"

// ruleFile is the schema of a rule file, made of rulefile's key tables.
func ruleFile() object {
	defs := object{}
	var root object
	for i, t := range rulefile.KeyTables() {
		properties := object{}
		var required []string
		for _, k := range t.Keys {
			properties[k.Name] = described(ruleKey(k), k.Doc)
			if k.Required {
				required = append(required, k.Name)
			}
		}
		o := closed("", properties, required...)
		for key, value := range choices[t.Name] {
			o[key] = value
		}
		if i == 0 {
			root = o
			continue
		}
		defs[t.Name] = described(o, t.What)
	}
	root["$defs"] = defs
	return root
}

// choices are the keys of which one has to be there, and no second one.
var choices = map[string]object{
	"metric":   {"oneOf": each("count", "sum", "distinct", "first", "last", "value")},
	"step":     {"oneOf": each("send", "wait", "wait_until", "wait_for")},
	"schedule": {"oneOf": each("at", "cron")},
	"rule":     {"allOf": []object{{"oneOf": each("on", "schedule")}, {"oneOf": each("send", "steps")}}},
}

func each(keys ...string) []object {
	var list []object
	for _, k := range keys {
		list = append(list, object{"required": []string{k}})
	}
	return list
}

func ruleKey(k rulefile.Key) object {
	ref := object{"$ref": "#/$defs/" + k.Table}
	switch k.Kind {
	case rulefile.WordKey:
		return object{"enum": k.Words}
	case rulefile.ExpressionKey:
		return expression()
	case rulefile.ConditionKey:
		return object{"type": []string{"string", "boolean"}}
	case rulefile.DurationKey:
		return duration()
	case rulefile.WholeKey:
		return object{"type": "integer", "minimum": k.Low, "maximum": k.High}
	case rulefile.NumberKey:
		return object{"type": "number", "minimum": k.Low, "maximum": k.High}
	case rulefile.BoolKey:
		return object{"type": "boolean"}
	case rulefile.TypesKey:
		return oneOrMore(text())
	case rulefile.ClockKey:
		return object{"type": "string", "pattern": `^([01]?[0-9]|2[0-3]):[0-5][0-9]$`}
	case rulefile.LocalTimeKey:
		return object{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?$`}
	case rulefile.CronKey:
		return object{"type": "string", "pattern": `^\s*\S+(\s+\S+){4}\s*$`}
	case rulefile.TableKey:
		return ref
	case rulefile.ListKey:
		return list(ref)
	case rulefile.TableListKey:
		return oneOrMore(ref)
	case rulefile.NamedKey:
		return object{"type": []string{"object", "null"}, "additionalProperties": ref}
	case rulefile.NamedTextKey:
		return object{"type": "object", "additionalProperties": expression()}
	case rulefile.TextKey, rulefile.ZoneKey, rulefile.AttributeKey:
	}
	return text()
}

// expression is CEL; a number or a bool of YAML stands for itself.
func expression() object { return object{"type": []string{"string", "number", "boolean"}} }
