package processor_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
)

// dice gives a number from 0 to n-1. Tests draw from rapid, the simulation from
// a seeded generator.
type dice func(n int) int

func rapidDice(t *rapid.T) dice {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "roll") }
}

func (d dice) chance(percent int) bool { return d(100) < percent }

func pick[T any](d dice, from ...T) T { return from[d(len(from))] }

const (
	sec  = int64(1000)
	mins = 60 * sec
	hour = 60 * mins
	day  = 24 * hour
)

// Slots of the fields of test events.
const (
	slotX = iota
	slotK
)

// readTypes are the event types that rules look at; "u" is one that none does.
var readTypes = []string{"a", "b", "c", "d"}

// Waits of rules: any, and those that end within a second or two.
var (
	anyWait   = []int64{1, 250, 900, 1_500, 30 * sec, mins - 1, mins, 10 * mins, hour - sec, hour, 2 * hour, 5 * hour, day, 7 * day, 21 * day}
	shortWait = []int64{1, 130, 250, 410, 700, 900, 1_000, 1_500}
)

// randomSet makes rules with such waits, restarts, cancellations, keys, cooldowns
// and conditions on metrics.
func randomSet(d dice, waits []int64) *rules.Set {
	s := &rules.Set{Fields: []string{"x", "k"}, Version: "sha256:random", RecentIDs: pick(d, 0, 1, 4)}
	on := func() []string {
		out := []string{pick(d, readTypes...)}
		if d.chance(40) {
			out = append(out, pick(d, readTypes...))
		}
		return out
	}
	s.Attributes = []*rules.Attribute{{Name: "att", Kind: rules.Int, On: on(), From: field(slotX)}}
	s.Metrics = []*rules.Metric{
		{Name: "windowed", Kind: rules.Count, On: on(), Within: pick(d, sec, hour, 30*day)},
		{Name: "latest", Kind: rules.Last, On: on()},
		{Name: "by_k", Kind: rules.Count, On: on(), Within: pick(d, hour, day), Keyed: true, BySlot: slotK},
		{Name: "ever", Kind: rules.Count, On: on(), Reset: on()},
	}
	randomPolicy(d, s, on)
	for i := range 1 + d(5) {
		s.Rules = append(s.Rules, randomRule(d, s, fmt.Sprintf("rule_%d", i), on, waits))
	}
	if err := s.Index(); err != nil {
		panic(err)
	}
	return s
}

func randomRule(d dice, s *rules.Set, name string, on func() []string, waits []int64) *rules.Rule {
	r := &rules.Rule{
		Name: name, On: on(), Priority: d(3), TriggerSlots: []int{slotX, slotK},
		Cooldown: pick(d, 0, 0, sec, hour, 3*day),
	}
	send := rules.Send{Channel: "push", Class: "ad", Template: name, Data: []rules.DataField{
		{Name: "k", Expr: func(e *rules.Env) rules.Value { return e.TriggerField(slotK) }},
		{Name: "seen", Expr: func(e *rules.Env) rules.Value { return e.Metric(s.Metrics[3]) }},
	}}
	r.Program = rules.AtOnce(send)
	if d.chance(80) {
		r.Program = rules.After(pick(d, waits...), send)
		r.Restart = d.chance(50)
		r.ExpireAfter = pick(d, 0, 0, hour)
	}
	if d.chance(30) {
		r.Key = field(slotK)
	}
	if d.chance(30) {
		r.Where = func(e *rules.Env) rules.Truth { return rules.TruthOf(e.Event.Field(slotX).Int() >= 3) }
	}
	if d.chance(40) {
		u := rules.Unless{On: on()}
		if d.chance(50) {
			u.Where = func(e *rules.Env) rules.Truth {
				return rules.TruthOf(e.Event.Field(slotK).Int() == e.TriggerField(slotK).Int())
			}
		}
		r.Unless = append(r.Unless, u)
	}
	if d.chance(40) {
		m, least := pick(d, s.Metrics[0], s.Metrics[2], s.Metrics[3]), int64(d(3))
		value := func(e *rules.Env) rules.Value { return e.Metric(m) }
		r.When = func(e *rules.Env) rules.Truth { return rules.TruthOf(value(e).Int() >= least) }
		r.Because = []rules.Named{{Name: m.Name, Expr: value}}
	}
	if d.chance(20) {
		r.Experiment = s.Experiments[0]
	}
	if d.chance(30) {
		r.Program = randomProgram(d, name, on, waits)
	}
	return r
}

// randomPolicy adds what holds for the messages of all rules, and an experiment
// that may have a goal.
func randomPolicy(d dice, s *rules.Set, on func() []string) {
	s.Zone = func(string) *time.Location { return time.UTC }
	if d.chance(30) {
		s.Policy.Caps = []rules.Cap{{Class: "ad", Max: 1 + d(2), Per: pick(d, sec, hour, 7*day)}}
	}
	if d.chance(15) {
		s.Policy.Quiet = []rules.QuietHours{{Class: "ad", From: 22 * 60, To: 7 * 60, Default: "UTC", Skip: d.chance(30)}}
	}
	x := &rules.Experiment{Name: "exp", Phase: 1, Pinned: pick(d, rules.Control, "treatment")}
	if d.chance(50) {
		x.Goal = &rules.Goal{On: on(), Within: pick(d, hour, 7*day)}
	}
	s.Experiments = []*rules.Experiment{x}
}

// randomProgram makes a scenario of two messages.
func randomProgram(d dice, name string, on func() []string, waits []int64) []rules.Op {
	send := func(step, next int) rules.Op {
		return rules.Op{Kind: rules.OpSend, Step: step, Next: next, Send: &rules.Send{
			Channel: "push", Class: pick(d, "ad", rules.Transactional),
			Template: fmt.Sprint(name, "/", step), Data: []rules.DataField{
				{Name: "k", Expr: func(e *rules.Env) rules.Value { return e.TriggerField(slotK) }},
			},
		}}
	}
	wait := func(next int) rules.Op {
		op := rules.Op{Kind: rules.OpWait, Wait: pick(d, waits...), Next: next}
		if d.chance(30) {
			op.Unless = []rules.Unless{{On: on()}}
		}
		return op
	}
	switch d(3) {
	case 0:
		return []rules.Op{wait(1), send(0, 2), wait(3), send(1, 4)}
	case 1:
		return []rules.Op{send(0, 1), wait(2), send(1, 3)}
	}
	return []rules.Op{
		{Kind: rules.OpWaitFor, For: &rules.WaitFor{On: on(), Within: pick(d, waits...), Then: 1, Else: 2}},
		send(0, 3), send(1, 3),
	}
}

func field(slot int) rules.Expr {
	return func(e *rules.Env) rules.Value { return e.Event.Field(slot) }
}

// event is one test event. Its record's value is "type|user|time|id|x|k".
type event struct {
	typ, user, id string
	time          int64
	x, k          int64
}

func (e event) value() []byte {
	return fmt.Appendf(nil, "%s|%s|%d|%s|%d|%d", e.typ, e.user, e.time, e.id, e.x, e.k)
}

// rule's view of the event, as the decoder would make it.
func (e event) decoded() *rules.Event {
	return &rules.Event{
		ID: e.id, Type: e.typ, User: e.user, Time: e.time,
		Fields: []rules.Value{rules.IntValue(e.x), rules.IntValue(e.k)},
	}
}

// textDecoder decodes values of test events. Like the real one it gives out
// strings that point into the value.
type textDecoder struct{}

var errNotAnEvent = errors.New("not an event")

func (textDecoder) Decode(ev *rules.Event, value []byte) error {
	parts := bytes.Split(value, []byte("|"))
	if len(parts) != 6 {
		return errNotAnEvent
	}
	text := func(i int) string { return unsafe.String(unsafe.SliceData(parts[i]), len(parts[i])) }
	number := func(i int) int64 {
		n, err := strconv.ParseInt(text(i), 10, 64)
		if err != nil {
			panic(fmt.Sprintf("%q: %v", value, err))
		}
		return n
	}
	ev.Type, ev.User, ev.ID, ev.Time = text(0), text(1), text(3), number(2)
	ev.Fields = append(ev.Fields, rules.IntValue(number(4)), rules.IntValue(number(5)))
	return nil
}

// walk draws events of some users. Times go on in steps from nothing to days;
// some events are late, some repeat the id of an earlier one.
type walk struct {
	d     dice
	users int
	clock int64
	ids   int
	// far and near are the percentages of steps that are hours or days, and of
	// those that are a part of a second.
	far, near int
}

func (w *walk) next() event {
	d := w.d
	switch {
	case d.chance(w.far):
		w.clock += pick(d, 10*mins, hour, 3*hour, day, 8*day) + int64(d(1000))
	case d.chance(w.near):
		w.clock += int64(d(700))
	default:
		w.clock += int64(d(100)) * sec
	}
	w.ids++
	w.clock = max(w.clock, 1) // 0 stands for none
	e := event{
		typ: pick(d, readTypes...), user: fmt.Sprintf("user-%d", d(w.users)), id: fmt.Sprintf("e%d", w.ids),
		time: w.clock, x: int64(d(6)), k: int64(d(3)),
	}
	switch {
	case d.chance(10):
		e.time = max(1, e.time-pick(d, 1, 700, 5*sec, 5*mins, 2*hour, 2*day))
	case d.chance(4):
		e.id = fmt.Sprintf("e%d", max(1, w.ids-1-d(4)))
	case d.chance(5):
		e.typ = "u"
	}
	return e
}
