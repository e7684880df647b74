package sim_test

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// naive is a second interpreter of the rule language, written from its
// description, for a spec. It keeps no state but the log of all that ever
// happened to a user, and works out every question anew from that log: slowly,
// but with little to get wrong. It shares nothing with the engine.
type naive struct {
	spec       *spec
	partitions []*naivePartition
	verbose    bool
	decisions  []string
	unread     int
	duplicates int
}

type naivePartition struct {
	clock, offset int64
	users         map[string]*naiveUser
}

// naiveEvent is an event as both sides are given it.
type naiveEvent struct {
	id, typ, user string
	t             int64
	fields        [fieldCount]*int64
	partition     int32
	offset        int64
}

type naiveUser struct {
	n    *naive
	name string
	log  []entry
}

// entry is one thing that happened: an event was taken in, an instance was begun
// or ended, or a rule was sent (or would have been, but for the control arm).
type entry struct {
	event *naiveEvent
	begun *naiveInstance
	ended *naiveInstance
	sent  *naiveSend
}

type naiveInstance struct {
	rule    int
	key     string
	due     int64
	trigger *naiveEvent
}

type naiveSend struct {
	rule int
	at   int64
}

// moment is what a condition is asked at.
type moment struct {
	event, trigger *naiveEvent
	now, upper     int64
}

const always = int64(math.MaxInt64)

func newNaive(s *spec, partitions int, verbose bool) *naive {
	n := &naive{spec: s, verbose: verbose}
	for range partitions {
		n.partitions = append(n.partitions, &naivePartition{users: map[string]*naiveUser{}})
	}
	return n
}

// apply takes in the next event of the stream.
func (n *naive) apply(e naiveEvent) {
	e.partition = int32(kafkaPartition(e.user, len(n.partitions)))
	p := n.partitions[e.partition]
	e.offset = p.offset
	p.offset++
	if !n.reads(e.typ) {
		n.unread++
		return
	}
	n.moveTo(p, e.t)
	u := p.users[e.user]
	if u == nil {
		u = &naiveUser{n: n, name: e.user}
		p.users[e.user] = u
	}
	u.take(&e)
	u.fire(p.clock, 0)
}

// kafkaPartition asks the Kafka client's default partitioner.
func kafkaPartition(user string, n int) int {
	return kgo.StickyKeyPartitioner(nil).ForTopic("t").Partition(&kgo.Record{Key: []byte(user)}, n)
}

func (n *naive) moveTo(p *naivePartition, t int64) {
	for _, u := range p.users {
		u.fire(t, 0)
	}
	p.clock = max(p.clock, t)
}

func (n *naive) reads(typ string) bool {
	for _, a := range n.spec.attributes {
		if names(a.on, typ) {
			return true
		}
	}
	for _, m := range n.spec.metrics {
		if names(m.on, typ) || names(m.reset, typ) {
			return true
		}
	}
	for _, r := range n.spec.rules {
		if names(r.on, typ) || slices.ContainsFunc(r.unless, func(c clauseSpec) bool { return names(c.on, typ) }) {
			return true
		}
	}
	return false
}

func names(on []string, typ string) bool { return slices.Contains(on, typ) || slices.Contains(on, "*") }

// take is one event: repeated or not, what it ends, what it begins or fires.
func (u *naiveUser) take(e *naiveEvent) {
	events := u.events()
	for i := max(0, len(events)-16); i < len(events); i++ {
		if events[i].id == e.id {
			u.n.duplicates++
			return
		}
	}
	u.log = append(u.log, entry{event: e})
	at := moment{event: e, now: e.t, upper: e.t}
	for _, in := range u.pending() {
		for _, c := range u.n.spec.rules[in.rule].unless {
			asked := at
			asked.trigger = in.trigger
			if names(c.on, e.typ) && u.holds(c.where, asked) {
				u.log = append(u.log, entry{ended: in})
				u.decide(in, "cancelled", "", e.t, asked)
				break
			}
		}
	}
	var atOnce []*naiveInstance
	for i, r := range u.n.spec.rules {
		if !names(r.on, e.typ) || !u.holds(r.where, at) {
			continue
		}
		in := &naiveInstance{rule: i, due: e.t, trigger: e}
		if r.key != none {
			if e.fields[r.key] == nil {
				continue
			}
			in.key = strconv.FormatInt(*e.fields[r.key], 10)
		}
		if r.wait == none {
			atOnce = append(atOnce, in)
			continue
		}
		waiting := slices.ContainsFunc(u.pending(), func(p *naiveInstance) bool { return p.rule == i && p.key == in.key })
		if waiting && !r.restart {
			continue
		}
		in.due = e.t + r.wait
		u.log = append(u.log, entry{begun: in})
		if u.n.verbose {
			u.decide(in, "armed", "", e.t, at)
		}
	}
	// What fires at once goes by priority, when everything has been begun.
	slices.SortStableFunc(atOnce, func(a, b *naiveInstance) int {
		return u.n.spec.rules[b.rule].priority - u.n.spec.rules[a.rule].priority
	})
	for _, in := range atOnce {
		asked := at
		asked.trigger = e
		u.gates(in, e.t, asked)
	}
}

// fire fires what is due by until; read is the wall clock, 0 on the event clock.
func (u *naiveUser) fire(until, read int64) {
	for {
		var next *naiveInstance
		for _, in := range u.pending() {
			if in.due <= until && (next == nil || u.before(in, next)) {
				next = in
			}
		}
		if next == nil {
			return
		}
		u.log = append(u.log, entry{ended: next})
		u.gates(next, max(next.due, read), moment{trigger: next.trigger, now: next.due, upper: always})
	}
}

// before is the order of what is due: time, priority, place in the file. Of the
// instances of one rule the one that has waited longest goes first.
func (u *naiveUser) before(a, b *naiveInstance) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	ra, rb := u.n.spec.rules[a.rule], u.n.spec.rules[b.rule]
	if ra.priority != rb.priority {
		return ra.priority > rb.priority
	}
	return a.rule < b.rule
}

// gates asks whether to send, and tells.
func (u *naiveUser) gates(in *naiveInstance, at int64, asked moment) {
	r := u.n.spec.rules[in.rule]
	arm, takesPart := "", true
	if r.experiment != none {
		arm, takesPart = u.arm(r.experiment)
	}
	outcome := "sent"
	switch {
	case r.expireAfter > 0 && at > in.due+r.expireAfter:
		outcome = "expired"
	case !u.holds(r.when, asked):
		if r.wait == none && !u.n.verbose {
			return
		}
		outcome = "condition"
	case u.cooling(in.rule, at):
		outcome = "cooldown"
	case !takesPart:
		outcome = "excluded"
	case arm == "control":
		outcome = "control"
	}
	if outcome == "sent" || outcome == "control" {
		u.log = append(u.log, entry{sent: &naiveSend{in.rule, at}})
	} else {
		arm = ""
	}
	u.decide(in, outcome, arm, at, asked)
}

// cooling: less than the cooldown has passed since a send of the rule. A late
// event is asked as of the user's newest.
func (u *naiveUser) cooling(rule int, at int64) bool {
	at = max(at, u.newest())
	cooldown := u.n.spec.rules[rule].cooldown
	for _, x := range u.log {
		if x.sent != nil && x.sent.rule == rule && cooldown > 0 && at < x.sent.at+cooldown {
			return true
		}
	}
	return false
}

// arm is the user's arm, by the description of assignment alone.
func (u *naiveUser) arm(index int) (arm string, takesPart bool) {
	x := u.n.spec.experiments[index]
	if x.pinned != "" {
		return x.pinned, true
	}
	bucket := func(kind, salt string) int {
		h := new(big.Int).SetUint64(xxhash.Sum64String(kind + "\x00" + salt + "\x00" + u.name))
		return int(h.Mul(h, big.NewInt(10_000)).Rsh(h, 64).Int64())
	}
	if bucket("layer", "layer") < x.layerFrom*100 && x.layerFrom > 0 {
		return "", false
	}
	b, from, to, arm := bucket("variant", "x"+strconv.Itoa(index)), 0, x.control*100, "control"
	if b >= to {
		from, to, arm = to, 10_000, "treatment"
	}
	return arm, b < from+(to-from)*x.coverage/100
}

func (u *naiveUser) decide(in *naiveInstance, outcome, arm string, at int64, asked moment) {
	e := in.trigger
	line := fmt.Sprintf("%d %s %d r%d/%s %s %s due %d by %s at %d/%d", e.partition, u.name, at, in.rule, in.key, outcome, arm, in.due, e.id, e.partition, e.offset)
	if outcome == "sent" || outcome == "control" {
		for i, o := range u.n.spec.rules[in.rule].data {
			if v := u.value(o, asked); v != nil {
				line += fmt.Sprintf(" d%d=%d", i, *v)
			}
		}
	}
	u.n.decisions = append(u.n.decisions, line)
}
