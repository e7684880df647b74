package rulefile

import "slices"

// keySet is what may be written in one kind of map.
type keySet struct {
	what  string // "a rule"
	built []string
	later []string // in the language, but not built
	with  []string // goes with what is not built, and is passed over with it
}

var (
	fileKeys       = keySet{"a rule file", []string{"attributes", "metrics", "experiments", "rules"}, []string{"audiences", "holdout", "policy"}, nil}
	attributeKeys  = keySet{"an attribute", []string{"type", "from", "on"}, nil, nil}
	metricKeys     = keySet{"a metric", []string{"count", "last", "where", "by", "within", "reset"}, []string{"sum", "distinct", "first", "value"}, nil}
	experimentKeys = keySet{"an experiment", []string{"arms", "salt", "coverage", "phase", "layer"}, []string{"goal"}, nil}
	armKeys        = keySet{"an arm", []string{"name", "weight"}, nil, nil}
	layerKeys      = keySet{"a layer", []string{"name", "from", "to"}, nil, nil}
	ruleKeys       = keySet{
		"a rule",
		[]string{"name", "on", "where", "key", "wait", "restart", "unless", "when", "cooldown", "expire_after", "priority", "experiment", "send"},
		[]string{"wait_until", "steps", "wait_for", "schedule", "audience", "paused", "exit"},
		nil,
	}
	unlessKeys = keySet{"an unless clause", []string{"on", "where"}, nil, nil}
	sendKeys   = keySet{"a send", []string{"channel", "class", "template", "data"}, nil, nil}
)

// object is a map of known keys.
type object struct {
	at     place
	values map[string]entry
	// unbuilt tells that a key was refused as not built, so that what else seems
	// to be missing may be its fault.
	unbuilt bool
}

// object checks the keys of a map. It returns false, after reporting why, if
// the node is no map.
func (c *compiler) object(n *node, keys keySet) (object, bool) {
	if n.kind != mapNode {
		c.wrongKind(n, keys.what+" is a map of "+shortList(keys.built), keys.what)
		return object{}, false
	}
	o := object{at: n.at, values: make(map[string]entry, len(n.entries))}
	for _, e := range n.entries {
		switch {
		case slices.Contains(keys.built, e.key):
			o.values[e.key] = e
		case slices.Contains(keys.later, e.key):
			o.unbuilt = true
			c.add(e.at, "leave it out for now", "%s is part of the rule language but this version of nudged does not build it yet", e.key)
		case slices.Contains(keys.with, e.key):
		default:
			c.add(e.at, didYouMean(e.key, keys.built, "keys of "+keys.what), "%s has no key %q", keys.what, e.key)
		}
	}
	return o, true
}

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
