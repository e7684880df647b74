package rulefile

import (
	"regexp"
	"slices"
)

// KeyKind says what is written behind a key.
type KeyKind string

// The kinds of key. Where a kind names a table, Key.Table does.
const (
	TextKey       KeyKind = "text"        // a plain text
	WordKey       KeyKind = "word"        // one of Key.Words
	ExpressionKey KeyKind = "expression"  // CEL with a value; a number or bool of YAML is itself
	ConditionKey  KeyKind = "condition"   // CEL that is true or false
	DurationKey   KeyKind = "duration"    // 500ms 90s 30m 24h 7d 2w 1d12h
	WholeKey      KeyKind = "whole"       // a whole number, Key.Low to Key.High
	NumberKey     KeyKind = "number"      // a number, Key.Low to Key.High
	BoolKey       KeyKind = "bool"        // true or false
	TypesKey      KeyKind = "event types" // one event type, a list of them, or "*"
	ClockKey      KeyKind = "clock"       // a time of day, "21:00"
	LocalTimeKey  KeyKind = "local time"  // "2026-11-27T09:00"
	CronKey       KeyKind = "cron"        // five fields: minute hour day month weekday
	ZoneKey       KeyKind = "zone"        // an IANA time zone, Asia/Seoul
	AttributeKey  KeyKind = "attribute"   // the name of an attribute
	TableKey      KeyKind = "table"       // a map with the keys of a table
	ListKey       KeyKind = "list"        // a list of such maps
	TableListKey  KeyKind = "table list"  // one such map or a list of them
	NamedKey      KeyKind = "named"       // a map from names to such maps
	NamedTextKey  KeyKind = "named expr"  // a map from names to expressions
)

// Key is one key of a rule file.
type Key struct {
	Name      string
	Kind      KeyKind
	Table     string   // KeyTable.Name of what is below, for the kinds that have one
	Words     []string // of a WordKey
	Low, High int64    // of a WholeKey or NumberKey
	Required  bool     // in every map of the table
	Doc       string   // one line
}

// KeyTable is what may be written in one kind of map.
type KeyTable struct {
	Name string // "rule"
	What string // "a rule", as errors call it
	Keys []Key

	// misplaced are keys that people look for here, with the way out.
	misplaced map[string]string
}

// KeyTables returns every kind of map that a rule file has, the file itself
// first.
func KeyTables() []KeyTable {
	return []KeyTable{
		fileKeys, attributeKeys, metricKeys, experimentKeys, armKeys, layerKeys, goalKeys, guardrailKeys, holdoutKeys,
		policyKeys, capKeys, quietKeys, consentKeys, ruleKeys, unlessKeys, sendKeys, stepKeys, waitForKeys, scheduleKeys, costKeys,
	}
}

func (t KeyTable) names() []string {
	names := make([]string, len(t.Keys))
	for i, k := range t.Keys {
		names[i] = k.Name
	}
	return names
}

// object is a map of known keys.
type object struct {
	at     place
	values map[string]entry
	// meant are known keys that an unknown one seems to stand for: it is reported,
	// and that the known one is missing is not.
	meant []string
}

// object checks the keys of a map. It returns false, after reporting why, if
// the node is no map.
func (c *compiler) object(n *node, keys KeyTable) (object, bool) {
	names := keys.names()
	if n.kind != mapNode {
		c.wrongKind(n, keys.What+" is a map of "+shortList(names), keys.What)
		return object{}, false
	}
	o := object{at: n.at, values: make(map[string]entry, len(n.entries))}
	for _, e := range n.entries {
		switch {
		case slices.Contains(names, e.key):
			o.values[e.key] = e
		case keys.misplaced[e.key] != "":
			for _, found := range keyInText.FindAllStringSubmatch(keys.misplaced[e.key], -1) {
				o.meant = append(o.meant, found[1])
			}
			c.add(e.at, keys.misplaced[e.key], "%s has no key %q", keys.What, e.key)
		default:
			o.meant = append(o.meant, nearest(e.key, names))
			c.add(e.at, didYouMean(e.key, names, "keys of "+keys.What), "%s has no key %q", keys.What, e.key)
		}
	}
	return o, true
}

// keyInText finds the keys that a way out speaks of.
var keyInText = regexp.MustCompile(`(\w+): `)

// lacks tells whether a key is not given, nor one that was meant to be it.
func (o object) lacks(key string) bool { return !o.has(key) && !slices.Contains(o.meant, key) }

// wrongKind reports a node that is a map where a list is due, or the like.
func (c *compiler) wrongKind(n *node, wayOut, what string) {
	switch n.kind {
	case brokenNode:
	case nullNode:
		c.add(n.at, wayOut, "%s is empty here", what)
	default:
		c.add(n.at, wayOut, "%s cannot be %s", what, n.kind)
	}
}

// get returns the value of a key, nil if it is not given.
func (o object) get(key string) *node { return o.values[key].value }

// has tells whether a key is given.
func (o object) has(key string) bool { return o.values[key].value != nil }

// keyAt returns the place of a key.
func (o object) keyAt(key string) place { return o.values[key].at }

// first returns the first of the keys that is given, "" if none is.
func (o object) first(keys ...string) string {
	for _, key := range keys {
		if o.has(key) {
			return key
		}
	}
	return ""
}

// named reads a map from names to values: attributes, metrics, experiments.
func (c *compiler) named(n *node, what string, each func(name string, at place, value *node)) {
	if n == nil || n.kind == nullNode {
		return
	}
	if n.kind != mapNode {
		c.wrongKind(n, "write a map from names to what they mean", what)
		return
	}
	for _, e := range n.entries {
		each(e.key, e.at, e.value)
	}
}

// each reads a list of maps, of which a single one may stand without the list.
func (c *compiler) each(n *node, wayOut, what string, f func(*node)) {
	switch {
	case n == nil:
	case n.kind == mapNode:
		f(n)
	case n.kind != listNode:
		c.wrongKind(n, wayOut, what)
	case len(n.items) == 0:
		c.add(n.at, wayOut+", or leave it out", "%s is an empty list", what)
	default:
		for _, item := range n.items {
			f(item)
		}
	}
}
