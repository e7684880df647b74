package rulefile

import (
	"fmt"

	"github.com/nudged/nudged/rules"
)

// compiler turns trees into a set. Declarations of all files are read first,
// then the expressions, which may use names of any file.
type compiler struct {
	problems
	set     *rules.Set
	onlyCEL bool

	attributes  map[string]*attribute
	metrics     map[string]*metric
	audiences   map[string]*audience
	open        []string // audiences being compiled, outermost first
	experiments map[string]*experimentDecl
	layers      map[string][]slot
	rules       map[string]place
	fields      map[string]int // slots of event fields
	policyAt    place          // zero until there is a policy
	holdoutAt   place
	zones       *zones
	defers      map[string]bool // classes whose messages quiet hours put off

	pending []func() // what is left to compile once all names are known
	cel     *environment
}

// attribute is a declared attribute. It stays known when its declaration is
// wrong, so that one mistake does not bring others about.
type attribute struct {
	at       place
	compiled *rules.Attribute
}

type metric struct {
	at       place
	compiled *rules.Metric
}

func newCompiler(onlyCEL bool) (*compiler, error) {
	cel, err := newEnvironment()
	if err != nil {
		return nil, fmt.Errorf("setting CEL up: %w", err)
	}
	return &compiler{
		set:         &rules.Set{},
		onlyCEL:     onlyCEL,
		attributes:  map[string]*attribute{},
		metrics:     map[string]*metric{},
		audiences:   map[string]*audience{},
		zones:       newZones(),
		defers:      map[string]bool{},
		experiments: map[string]*experimentDecl{},
		layers:      map[string][]slot{},
		rules:       map[string]place{},
		fields:      map[string]int{},
		cel:         cel,
	}, nil
}

// file takes in the declarations of one file and leaves the rest to finish.
func (c *compiler) file(root *node) {
	if root.kind == mapNode {
		for _, e := range root.entries {
			if e.key == "tests" {
				c.add(e.at, "run it with nudged test, and name it *.test.yaml so that it is passed over here", "this is a file of rule tests, not of rules")
				return
			}
		}
	}
	if root.kind == nullNode {
		return
	}
	o, ok := c.object(root, fileKeys)
	if !ok {
		return
	}
	c.named(o.get("attributes"), "attributes", c.attribute)
	c.named(o.get("metrics"), "metrics", c.metric)
	c.named(o.get("audiences"), "audiences", c.audience)
	c.named(o.get("experiments"), "experiments", c.experiment)
	if o.has("holdout") {
		c.holdout(o.keyAt("holdout"), o.get("holdout"))
	}
	if o.has("policy") {
		c.policy(o.keyAt("policy"), o.get("policy"))
	}
	list := o.get("rules")
	switch {
	case list == nil, list.kind == nullNode:
	case list.kind != listNode:
		c.wrongKind(list, "write a list: each rule starts with \"- name:\"", "rules")
	default:
		for _, n := range list.items {
			c.pending = append(c.pending, func() { c.rule(n) })
		}
	}
}

// finish compiles what is left and returns the set, or all that is wrong.
func (c *compiler) finish(version string) (*rules.Set, error) {
	for _, compile := range c.pending {
		compile()
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	c.set.Version, c.set.Zone = version, c.zones.find
	if err := c.set.Index(); err != nil {
		c.add(place{}, "rename one of them", "%s", err)
		return nil, c.err()
	}
	return c.set, nil
}

// slotOf returns the slot of an event field, made if nothing reads it yet.
func (c *compiler) slotOf(field string) int {
	slot, ok := c.fields[field]
	if !ok {
		slot = len(c.set.Fields)
		c.fields[field] = slot
		c.set.Fields = append(c.set.Fields, field)
	}
	return slot
}
