// Package oracle says which sends the benchmark's rules owe for a stream of
// events. It shares no code with the engine and knows only the three rules of
// bench/rules/rules.yaml, so that both can hardly be wrong in the same way.
package oracle

import "container/heap"

// The rules of bench/rules/rules.yaml and what their experiments are called.
const (
	SearchNoView  = "search_no_view"
	CartAbandoned = "cart_abandoned"
	SignupNoView  = "signup_no_view"
)

var experiments = map[string]string{
	SearchNoView:  "search_help",
	CartAbandoned: "cart_coupon",
	SignupNoView:  "signup_hint",
}

const (
	minute = int64(60_000)
	hour   = 60 * minute

	searchWindow   = 30 * minute
	searchesWanted = 3
	searchCooldown = 24 * hour
	cartWait       = 7 * 24 * hour
	signupWait     = 24 * hour
	rememberedIDs  = 16
)

// Event is one record of the input topic.
type Event struct {
	ID, Type, User string
	TimeMS         int64 // Unix milliseconds
	Partition      int32
}

// Send is a command that must be on the sends topic, exactly once.
type Send struct {
	CommandID, Rule, User, Experiment, Arm string

	TriggerID string
	DueMS     int64 // Unix milliseconds; of a rule without a wait the trigger's time
	Partition int32 // of the input; sends come in the same one when counts are equal
}

// Decisions counts what the rules decided, by the names of the decisions topic.
type Decisions struct {
	Sent, Control, Cooldown, Cancelled int
}

// Total returns how many decisions those are.
func (d Decisions) Total() int { return d.Sent + d.Control + d.Cooldown + d.Cancelled }

// Result is what a stream of events leads to.
type Result struct {
	Sends     map[string]Send // by command id
	Decisions Decisions
	ByRule    map[string]Decisions
	Events    int // records taken in, repeated ones too
	Repeated  int // records ignored because their id was seen before
	Users     int // that sent at least one event
	Pending   int // instances still waiting at the end, of all rules
}

// Oracle takes in events and keeps what is owed.
type Oracle struct {
	parts  map[int32]*partition
	result Result
}

// New returns an oracle that has seen nothing.
func New() *Oracle {
	return &Oracle{
		parts:  map[int32]*partition{},
		result: Result{Sends: map[string]Send{}, ByRule: map[string]Decisions{}},
	}
}

// partition has a clock of its own: the highest event time seen in it.
type partition struct {
	number int32
	clock  int64
	users  map[string]*user
	timers timerHeap
}

type user struct {
	recent       []string // ids of the last events, newest last
	searches     []int64  // times within the window, oldest first
	searchFired  bool     // lastSearchMS holds
	lastSearchMS int64
	cart, signup *instance
}

type instance struct {
	triggerID string
	dueMS     int64
}

// Add takes in the next event of its partition. Events of one partition come in
// the order of offsets; between partitions any order does.
func (o *Oracle) Add(e Event) {
	p := o.parts[e.Partition]
	if p == nil {
		p = &partition{number: e.Partition, users: map[string]*user{}}
		o.parts[e.Partition] = p
	}
	o.result.Events++
	// The clock moves before the event counts: what is due in the event's own
	// millisecond fires first.
	if e.TimeMS > p.clock {
		p.clock = e.TimeMS
	}
	o.fireDue(p)

	u := p.users[e.User]
	if u == nil {
		u = &user{}
		p.users[e.User] = u
	}
	for _, id := range u.recent {
		if id == e.ID {
			o.result.Repeated++
			return
		}
	}
	if len(u.recent) == rememberedIDs {
		u.recent = append(u.recent[:0], u.recent[1:]...)
	}
	u.recent = append(u.recent, e.ID)
	o.apply(p, u, e)
}

func (o *Oracle) apply(p *partition, u *user, e Event) {
	switch e.Type {
	case "search":
		u.searches = append(u.searches, e.TimeMS)
		for u.searches[0] <= e.TimeMS-searchWindow {
			u.searches = u.searches[1:]
		}
		if len(u.searches) < searchesWanted {
			return
		}
		if u.searchFired && e.TimeMS < u.lastSearchMS+searchCooldown {
			o.count(SearchNoView, Decisions{Cooldown: 1})
			return
		}
		// Both arms: the control's send is virtual, but it starts the cooldown.
		u.searchFired, u.lastSearchMS = true, e.TimeMS
		o.decide(p, SearchNoView, e.User, instance{e.ID, e.TimeMS})
	case "product_view":
		u.searches = nil
		if u.signup != nil {
			u.signup = nil
			o.count(SignupNoView, Decisions{Cancelled: 1})
		}
	case "purchase":
		if u.cart != nil {
			u.cart = nil
			o.count(CartAbandoned, Decisions{Cancelled: 1})
		}
	case "add_to_cart":
		u.cart = &instance{e.ID, e.TimeMS + cartWait}
		heap.Push(&p.timers, timer{u.cart.dueMS, CartAbandoned, e.User})
	case "signup":
		if u.signup == nil {
			u.signup = &instance{e.ID, e.TimeMS + signupWait}
			heap.Push(&p.timers, timer{u.signup.dueMS, SignupNoView, e.User})
		}
	}
}

// fireDue fires every instance due at or before the partition's clock. A timer
// of an instance that was moved or ended since finds nothing due.
func (o *Oracle) fireDue(p *partition) {
	for len(p.timers) > 0 && p.timers[0].dueMS <= p.clock {
		t := heap.Pop(&p.timers).(timer)
		u := p.users[t.user]
		pending := &u.cart
		if t.rule == SignupNoView {
			pending = &u.signup
		}
		if *pending != nil && (*pending).dueMS == t.dueMS {
			o.decide(p, t.rule, t.user, **pending)
			*pending = nil
		}
	}
}

// decide is the last gate: the arm.
func (o *Oracle) decide(p *partition, rule, userID string, in instance) {
	arm := Arm(experiments[rule], userID)
	if arm == Control {
		o.count(rule, Decisions{Control: 1})
		return
	}
	o.count(rule, Decisions{Sent: 1})
	id := CommandID(rule, userID, in.triggerID)
	o.result.Sends[id] = Send{
		CommandID: id, Rule: rule, User: userID, Experiment: experiments[rule], Arm: arm,
		TriggerID: in.triggerID, DueMS: in.dueMS, Partition: p.number,
	}
}

func (o *Oracle) count(rule string, d Decisions) {
	o.result.Decisions = o.result.Decisions.plus(d)
	o.result.ByRule[rule] = o.result.ByRule[rule].plus(d)
}

func (d Decisions) plus(e Decisions) Decisions {
	return Decisions{d.Sent + e.Sent, d.Control + e.Control, d.Cooldown + e.Cooldown, d.Cancelled + e.Cancelled}
}

// Result returns what is owed for the events so far. At the end of the input
// the clocks stay where they are: what is due later has not fired.
func (o *Oracle) Result() Result {
	o.result.Users, o.result.Pending = 0, 0
	for _, p := range o.parts {
		o.result.Users += len(p.users)
		for _, u := range p.users {
			if u.cart != nil {
				o.result.Pending++
			}
			if u.signup != nil {
				o.result.Pending++
			}
		}
	}
	return o.result
}

type timer struct {
	dueMS int64
	rule  string
	user  string
}

// timerHeap orders by due time, then as the rules stand in the file.
type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].dueMS != h[j].dueMS {
		return h[i].dueMS < h[j].dueMS
	}
	return h[i].rule == CartAbandoned && h[j].rule == SignupNoView
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	return t
}
