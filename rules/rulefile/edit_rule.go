package rulefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

func (c *comparison) rules() {
	before, after := map[string]*rules.Rule{}, map[string]*rules.Rule{}
	for _, r := range c.before.Set.Rules {
		before[r.Name] = r
	}
	for _, r := range c.after.Set.Rules {
		after[r.Name] = r
	}
	pairs := c.pairs("rules", "rule", func(old declaration) {
		change := c.add(old.at, "removed", "pending instances end with rule_removed when their users are next looked at", "it is gone")
		for _, d := range c.after.declared("rules") {
			if before[d.name] == nil && sameButName(old.node, d.node) {
				change.Edit, change.What = "renamed", "it is called "+d.name+" now"
				change.WayOut = "instances go by the name: keep the old one to let them go on"
			}
		}
	})
	for _, p := range pairs {
		c.name = p.new.name
		c.rule(p, before[c.name], after[c.name])
	}
	c.order(pairs, before)
}

func sameButName(a, b *node) bool {
	without := func(n *node) string {
		rest := &node{kind: mapNode}
		for _, e := range n.entries {
			if e.key != "name" {
				rest.entries = append(rest.entries, e)
			}
		}
		return rest.written()
	}
	return without(a) == without(b)
}

// order tells when rules that stay have changed places.
func (c *comparison) order(pairs []pair, before map[string]*rules.Rule) {
	for i, p := range pairs[min(1, len(pairs)):] {
		above := pairs[i].new.name
		if before[p.new.name].Index < before[above].Index {
			c.name = p.new.name
			c.add(p.new.at, "order", "of messages due at the same moment with the same priority that of the upper rule goes first", "it stands below %s now, not above", above)
		}
	}
}

func (c *comparison) rule(p pair, old, r *rules.Rule) {
	if mayPend(old, c.before.Set.Policy) {
		c.starts(p, old, r)
		c.program(p, old, r)
		c.keptFields(p, old, r)
		c.parts(p, []part{
			{"where", "holds for triggers from now on; pending instances go on"},
			{"restart", "holds for triggers from now on"},
			{"unless", "holds for pending instances at once"},
			{"exit", "holds for pending instances at once"},
			{"when", "asked when pending instances fire"},
			{"expire_after", "asked when pending instances fire, of the due time that they have"},
			{"priority", "holds when pending instances fire"},
		})
	}
	c.parts(p, []part{{"cooldown", "asked of every message from now on, from the last send so far"}})
	if a, b := experimentName(old), experimentName(r); a != b {
		c.add(placeOf(p.new, "experiment"), "experiment", "decides who is sent to from now on, of pending instances too; scenarios that have an arm keep it", "experiment %s becomes %s", a, b)
	}
	if old.Paused != r.Paused {
		what, effect := "it is paused", "pending instances wait without firing; a trigger of a rule that sends at once does nothing"
		if !r.Paused {
			what, effect = "it is not paused any more", "what has become due meanwhile fires at once, after all gates, expire_after among them"
		}
		c.add(placeOf(p.new, "paused"), "paused", effect, "%s", what)
	}
	if old.AutoPause != r.AutoPause {
		what, effect := "it asks for auto_pause now", "it is paused at once if its experiment's present phase has been found at fault already"
		if !r.AutoPause {
			what, effect = "it does not ask for auto_pause any more", "if that has paused it, it goes on: what has become due meanwhile fires at once, after all gates"
		}
		c.add(placeOf(p.new, "auto_pause"), "auto_pause", effect, "%s", what)
	}
}

// mayPend tells whether instances of the rule may be pending: it waits, is
// paused, or quiet hours put its message off.
func mayPend(r *rules.Rule, policy rules.Policy) bool {
	if r.Paused || len(r.Program) > 1 || r.Program[0].Kind != rules.OpSend {
		return true
	}
	return slices.ContainsFunc(policy.Quiet, func(q rules.QuietHours) bool { return !q.Skip && q.Class == r.Program[0].Send.Class })
}

// part is a key whose edits all do the same.
type part struct{ key, effect string }

func (c *comparison) parts(p pair, list []part) {
	for _, part := range list {
		if p.edited(part.key) {
			c.add(placeOf(p.new, part.key), part.key, part.effect, "%s %s becomes %s", part.key, p.was(part.key), p.is(part.key))
		}
	}
}

func (c *comparison) starts(p pair, old, r *rules.Rule) {
	if (old.Schedule != nil) != (r.Schedule != nil) {
		what := "a schedule starts it now, not events"
		if r.Schedule == nil {
			what = "events start it now, not a schedule"
		}
		c.add(placeOf(p.new, "schedule", "on"), "start", "pending instances go on; of their trigger they have what the old rule kept", "%s", what)
		return
	}
	if !slices.Equal(old.On, r.On) {
		c.add(placeOf(p.new, "on"), "on", "holds for triggers from now on; pending instances go on", "on %s becomes %s", p.was("on"), p.is("on"))
	}
	if p.edited("schedule") {
		c.add(placeOf(p.new, "schedule"), "schedule", "holds for occurrences from now on; pending instances go on", "schedule %s becomes %s", p.was("schedule"), p.is("schedule"))
	}
	if r.Schedule != nil {
		c.parts(p, []part{{"audience", "asked at the next occurrence; pending instances go on"}})
	}
	if p.edited("key") {
		c.add(placeOf(p.new, "key"), "key", "pending instances keep their old keys: a new trigger starts another one beside them, and restart does not find them", "key %s becomes %s", p.was("key"), p.is("key"))
	}
}

func experimentName(r *rules.Rule) string {
	if r.Experiment == nil {
		return "none"
	}
	return r.Experiment.Name
}

// program compares what stands where an instance may stand: it keeps its place
// in the list.
func (c *comparison) program(p pair, old, r *rules.Rule) {
	oldText, newText := c.before.programs[old.Name], c.after.programs[r.Name]
	at := placeOf(p.new, "steps", "wait", "wait_until", "send")
	var moved []string
	kinds := true
	for i, op := range old.Program {
		was := opName(op, oldText[i])
		if i >= len(r.Program) {
			moved = append(moved, fmt.Sprintf("step %d (%s) end with rule_removed", i+1, was))
			kinds = false
			continue
		}
		kinds = kinds && r.Program[i].Kind == op.Kind
		if is := opName(r.Program[i], newText[i]); is != was {
			moved = append(moved, fmt.Sprintf("step %d (%s) stand at %s", i+1, was, is))
		}
	}
	if !kinds {
		c.add(at, "steps", "pending instances keep their place in the list and their due time; those at "+strings.Join(moved, "; those at "), "the steps have moved")
		return
	}
	branches := false
	for i, op := range old.Program {
		c.op(i, op, r.Program[i], oldText[i], newText[i])
		branches = branches || leadsTo(op) != leadsTo(r.Program[i])
	}
	switch more := len(r.Program) - len(old.Program); {
	case more > 0:
		c.add(at, "steps", "pending instances come to them as well", "steps are added at the end: %d", more)
	case branches:
		c.add(at, "steps", "pending instances go on by the new branches", "the steps lead on in another way")
	}
}

// op compares two steps of one kind at the same place.
func (c *comparison) op(i int, old, now rules.Op, oldText, newText opNode) {
	was, is := opName(old, oldText), opName(now, newText)
	step := fmt.Sprintf("step %d: ", i+1)
	if oldText.step == nil && newText.step == nil {
		step = ""
	}
	switch now.Kind {
	case rules.OpWait:
		if old.Wait != now.Wait || (old.Until != nil || now.Until != nil) && was != is {
			c.add(newText.value.at, "wait", "pending instances keep the due time that they have", "%s%s becomes %s", step, was, is)
		}
	case rules.OpWaitFor:
		if old.For.Within != now.For.Within {
			c.add(newText.value.at, "wait", "pending instances keep the due time that they have", "%swithin %s becomes %s", step,
				orNone(oldText.value.child("within")), orNone(newText.value.child("within")))
		}
		if !slices.Equal(old.For.On, now.For.On) || oldText.value.child("where").written() != newText.value.child("where").written() {
			c.add(newText.value.at, "wait_for", "holds for pending instances at once", "%swait_for %s becomes %s", step, orNone(oldText.value), orNone(newText.value))
		}
	case rules.OpSend:
		if oldText.value.written() != newText.value.written() {
			c.add(newText.value.at, "send", "pending instances send the new message", "%s%s becomes %s", step, orNone(oldText.value), orNone(newText.value))
		}
	}
	for _, key := range []string{"unless", "exit"} {
		if a, b := oldText.step.child(key), newText.step.child(key); a.written() != b.written() {
			c.add(newText.value.at, key, "holds for pending instances at once", "%s%s %s becomes %s", step, key, orNone(a), orNone(b))
		}
	}
}

// opName is a step for people.
func opName(op rules.Op, text opNode) string {
	switch op.Kind {
	case rules.OpSend:
		return "send " + op.Send.Channel + " " + op.Send.Template
	case rules.OpWait:
		if op.Until != nil {
			return "wait_until " + orNone(text.value)
		}
		return "wait " + orNone(text.value)
	}
	return "wait_for " + orNone(text.value.child("on"))
}

// leadsTo is where a step leads, as far as that is stated in the rules.
func leadsTo(op rules.Op) [2]int {
	if op.For != nil {
		return [2]int{op.For.Then, op.For.Else}
	}
	return [2]int{op.Next, op.Next}
}

// keptFields tells which fields of the trigger are read now that pending
// instances have not kept.
func (c *comparison) keptFields(p pair, old, r *rules.Rule) {
	var missing []string
	for _, slot := range r.TriggerSlots {
		name := c.after.Set.Fields[slot]
		if !slices.ContainsFunc(old.TriggerSlots, func(slot int) bool { return c.before.Set.Fields[slot] == name }) {
			missing = append(missing, "trigger."+name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		c.add(p.new.at, "trigger", "absent in instances that are pending now: they did not keep it", "%s is read now", strings.Join(missing, ", "))
	}
}
