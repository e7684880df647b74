package sim_test

import (
	"fmt"
	"strconv"

	"github.com/nudged/nudged/experiment"
	"github.com/nudged/nudged/rules"
)

// compileSpec makes the engine's set of a spec: its expressions are closures on
// rules.Env.
func compileSpec(s *spec) *rules.Set {
	set := &rules.Set{}
	for i := range fieldCount {
		set.Fields = append(set.Fields, "f"+strconv.Itoa(i))
	}
	c := &compiler{set: set}
	for i, a := range s.attributes {
		set.Attributes = append(set.Attributes, &rules.Attribute{
			Name: "a" + strconv.Itoa(i), Kind: rules.Int, On: a.on,
			From: func(e *rules.Env) rules.Value { return e.Event.Field(a.field) },
		})
	}
	for i, m := range s.metrics {
		compiled := &rules.Metric{Name: "m" + strconv.Itoa(i), Kind: rules.Count, On: m.on, Where: c.condition(m.where), Within: m.within, Reset: m.reset}
		if m.last {
			compiled.Kind = rules.Last
		}
		if m.by != none {
			compiled.Keyed, compiled.BySlot = true, m.by
		}
		set.Metrics = append(set.Metrics, compiled)
	}
	for i, x := range s.experiments {
		set.Experiments = append(set.Experiments, compileExperiment("x"+strconv.Itoa(i), x))
	}
	for i, r := range s.rules {
		set.Rules = append(set.Rules, c.rule("r"+strconv.Itoa(i), r))
	}
	if err := set.Index(); err != nil {
		panic(err)
	}
	return set
}

func compileExperiment(name string, x experimentSpec) *rules.Experiment {
	e := &experiment.Experiment{Name: name, Coverage: x.coverage, Arms: []experiment.Arm{{Name: "control", Weight: x.control}, {Name: "treatment", Weight: 100 - x.control}}}
	if x.layerFrom > 0 {
		e.Layer = &experiment.Layer{Name: "layer", From: x.layerFrom, To: 100}
	}
	assigner, err := experiment.Compile(e)
	if err != nil {
		panic(err)
	}
	return &rules.Experiment{Name: name, Assigner: assigner, Pinned: x.pinned}
}

type compiler struct{ set *rules.Set }

func (c *compiler) rule(name string, r ruleSpec) *rules.Rule {
	compiled := &rules.Rule{
		Name: name, On: r.on, Where: c.condition(r.where), Restart: r.restart, When: c.condition(r.when),
		Cooldown: r.cooldown, ExpireAfter: r.expireAfter, Priority: r.priority,
		TriggerSlots: []int{0, 1, 2},
	}
	if r.key != none {
		compiled.Key = func(e *rules.Env) rules.Value { return e.Event.Field(r.key) }
	}
	if r.wait != none {
		compiled.Waits, compiled.Wait = true, r.wait
	}
	for _, u := range r.unless {
		compiled.Unless = append(compiled.Unless, rules.Unless{On: u.on, Where: c.condition(u.where)})
	}
	if r.experiment != none {
		compiled.Experiment = c.set.Experiments[r.experiment]
	}
	for i, o := range r.data {
		compiled.Send.Data = append(compiled.Send.Data, rules.DataField{Name: "d" + strconv.Itoa(i), Expr: c.operand(o)})
	}
	return compiled
}

func (c *compiler) operand(o operand) rules.Expr {
	switch o.what {
	case "event":
		return func(e *rules.Env) rules.Value { return e.Event.Field(o.index) }
	case "trigger":
		return func(e *rules.Env) rules.Value { return e.TriggerField(o.index) }
	case "user":
		a := c.set.Attributes[o.index]
		return func(e *rules.Env) rules.Value { return e.Attribute(a) }
	case "metric":
		m := c.set.Metrics[o.index]
		return func(e *rules.Env) rules.Value { return e.Metric(m) }
	}
	return func(e *rules.Env) rules.Value { return rules.TimeValue(e.Now) }
}

func (c *compiler) condition(s *condition) rules.Cond {
	if s == nil {
		return nil
	}
	switch s.op {
	case "and", "or":
		first, then := c.condition(s.first), c.condition(s.then)
		decides := rules.TruthOf(s.op == "or")
		return func(e *rules.Env) rules.Truth {
			a, b := first(e), then(e)
			switch {
			case a == decides || b == decides:
				return decides
			case a == rules.Unknown:
				return a
			}
			return b
		}
	case "not":
		first := c.condition(s.first)
		return func(e *rules.Env) rules.Truth {
			switch first(e) {
			case rules.True:
				return rules.False
			case rules.False:
				return rules.True
			}
			return rules.Unknown
		}
	}
	left := c.operand(s.left)
	if s.op == "has" {
		return func(e *rules.Env) rules.Truth { return rules.TruthOf(left(e).Present()) }
	}
	right := func(*rules.Env) rules.Value { return rules.IntValue(s.number) }
	if s.right != nil {
		right = c.operand(*s.right)
	}
	return func(e *rules.Env) rules.Truth {
		a, b := left(e), right(e)
		if !a.Present() || !b.Present() {
			return rules.Unknown
		}
		if s.op == "==" {
			return rules.TruthOf(a.Int() == b.Int())
		}
		return rules.TruthOf(a.Int() >= b.Int())
	}
}

// describe writes a decision as naive_test.go does.
func describe(partition int32, d *rules.Decision) string {
	line := fmt.Sprintf("%d %s %d %s/%s %s %s due %d by %s at %d/%d", partition, d.User, d.At, d.Rule, d.Instance, d.Outcome, d.Arm, d.Due, d.Trigger.ID, d.Trigger.Partition, d.Trigger.Offset)
	for _, v := range d.Data {
		line += fmt.Sprintf(" %s=%d", v.Name, v.Value.Int())
	}
	return line
}
