package verify_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nudged/nudged/internal/chaos/verify"
	"github.com/nudged/nudged/internal/chaos/workload"
	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/sinks"
)

var topics = verify.Topics{Group: "g", Events: "events", EventParts: 3, SendParts: 2, DecisionParts: 3}

// seen is what a run leaves behind.
type seen struct {
	inputs  []verify.Input
	outputs []verify.Output
	dead    []verify.DeadLetter
}

// driver is a daemon in a few lines, without faults, on either clock: the engine
// under test in the packages it lives in, here only a way to a valid history.
type driver struct {
	set   *rules.Set
	dice  *rand.Rand
	parts []*drivenPartition
	seen
}

type drivenPartition struct {
	n                    int32
	offset, clock        int64
	users                map[string]*rules.State
	epoch, seq, previous int64
	batch                []verify.Output
	marks                []string // without index and count
}

func rulesOf(t *testing.T, text []byte) *rules.Set {
	t.Helper()
	set, err := rulefile.Parse([]rulefile.File{{Name: "rules.yaml", Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func (d *driver) emit(p *drivenPartition, kind byte, position int64, r *rules.Result) {
	origin := sinks.Origin{Topic: topics.Events, RulesVersion: d.set.Version}
	for i := range r.Decisions {
		dec := &r.Decisions[i]
		mark := fmt.Sprintf("k=%c;o=%d;c=%d", kind, position, p.clock)
		if dec.Outcome == rules.Sent {
			p.batch = append(p.batch, verify.Output{Send: true, Partition: p.n % topics.SendParts, Value: sinks.AppendCommand(nil, dec, origin)})
			p.marks = append(p.marks, mark)
		}
		p.batch = append(p.batch, verify.Output{Partition: p.n % topics.DecisionParts, Value: sinks.AppendDecision(nil, dec, origin)})
		p.marks = append(p.marks, mark)
	}
	r.Reset()
}

func (d *driver) flush(p *drivenPartition) {
	p.seq++
	if d.dice.IntN(10) == 0 {
		p.epoch++
	}
	for i, out := range p.batch {
		out.Mark = fmt.Sprintf("n1;g=g;t=events/%d;e=%d;s=%d;i=%d/%d;q=%d;%s", p.n, p.epoch, p.seq, i, len(p.batch), p.previous, p.marks[i])
		out.Offset, out.Appended = int64(len(d.outputs)), p.clock
		d.outputs = append(d.outputs, out)
	}
	if len(p.batch) > 0 {
		p.previous = p.seq
	}
	p.batch, p.marks = nil, nil
}

func (d *driver) consume(p *drivenPartition, now int64, rec workload.Record) {
	in := verify.Input{Partition: p.n, Offset: p.offset, Value: rec.Value, Acked: now}
	d.inputs = append(d.inputs, in)
	p.offset++
	dec := decode.New(d.set, input.Mapping{})
	var ev rules.Event
	if rec.Value == nil || dec.Decode(&ev, rec.Value) != nil {
		d.dead = append(d.dead, verify.DeadLetter{Partition: in.Partition, Offset: in.Offset})
		return
	}
	ev.Partition, ev.Offset = in.Partition, in.Offset
	var r rules.Result
	st := p.users[ev.User]
	if st == nil {
		st = &rules.State{}
		p.users[ev.User] = st
	}
	d.set.Step(st, ev.User, rules.Input{Event: &ev}, &r)
	d.emit(p, 'e', in.Offset, &r)
	d.fire(p, p.clock) // a late event may have armed what is due already
}

// fire fires what is due at the clock.
func (d *driver) fire(p *drivenPartition, clock int64) {
	p.clock = clock
	for user, st := range p.users {
		for {
			due, ok := st.NextDue(d.set)
			if !ok || due > clock {
				break
			}
			var r rules.Result
			d.set.Step(st, user, rules.Input{Until: due, Fired: clock}, &r)
			d.emit(p, 't', p.offset, &r)
		}
	}
}

// wallRun makes a history on the wall clock.
func wallRun(t *testing.T, seed uint64, events int) seen {
	t.Helper()
	d := &driver{set: rulesOf(t, workload.WallRules), dice: rand.New(rand.NewPCG(seed, 1))}
	const start = 1_767_000_000_000
	for n := range topics.EventParts {
		d.parts = append(d.parts, &drivenPartition{n: n, users: map[string]*rules.State{}, epoch: start})
	}
	g := workload.NewWall(seed, 40)
	now := int64(start)
	for range events {
		now += d.dice.Int64N(100)
		rec := g.Next(now)
		p := d.parts[hash(rec.Key)%topics.EventParts]
		d.consume(p, now, rec)
		for _, p := range d.parts {
			switch d.dice.IntN(8) {
			case 0:
				d.fire(p, now)
			case 1:
				d.flush(p)
			}
		}
	}
	for _, p := range d.parts {
		for range 20 {
			now += 5_000
			d.fire(p, now)
		}
		d.flush(p)
	}
	return d.seen
}

func hash(s string) int32 {
	h := int32(7)
	for _, c := range s {
		h = h*31 + c
	}
	return h & 0x7fffffff
}
