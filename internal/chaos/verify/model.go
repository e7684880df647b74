package verify

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/internal/chaos/workload"
)

// The model says what workload/rules/wall.yaml owes a user, in words of its own:
// it shares no code with the rules, and takes from them only what docs/rules.md
// says. The order of events and firings is given to it; what each of them has to
// bring about follows.

// Spans of the rules, ms.
const (
	viewedCooldown = 3_000
	cartWait       = 3_000
	cartCooldown   = 5_000
	thanksWait     = 1_500
	tipsWait       = 2_000
	clickWithin    = 3_000
	searchWait     = 6_000
	searchExpires  = 30_000
	goalWithin     = 8_000
	capPer         = 15_000
	capMax         = 4
	viewedPrice    = 50.0
	holdoutShare   = 1000 // of 10,000
	controlShare   = 3000 // of 10,000, the first arm
	remembered     = 16   // event ids
)

// modelUser is what the rules know of a user.
type modelUser struct {
	name     string
	newest   int64
	recent   []string
	ads      bool
	orders   int
	lastSent map[string]int64
	adTimes  []int64
	exposed  *modelExposure
	pending  []*modelInstance
}

type modelExposure struct {
	at        int64
	arm       string
	rule      string
	converted bool
}

// modelInstance is a rule that waits.
type modelInstance struct {
	rule, key string
	stage     int // of welcome: the send that it goes to
	due       int64
	trigger   string // id
	item      string // of the trigger
	cart      string
}

// outcome is one decision.
type outcome struct {
	decision, rule, key string
	step                int
	trigger             string
	due, at             int64
	arm                 string
	again               bool
}

func (u *modelUser) clock(at int64) int64 { return max(at, u.newest) }

func inHoldout(user string) bool { return bucket("holdout", "chaos", user) < holdoutShare }

func couponArm(user string) string {
	if bucket("variant", "coupon", user) < controlShare {
		return "control"
	}
	return "treatment"
}

// bucket is a user's, of 10,000.
func bucket(kind, salt, user string) uint64 {
	hi, _ := bits.Mul64(xxhash.Sum64String(kind+"\x00"+salt+"\x00"+user), 10_000)
	return hi
}

// apply takes an event in and returns what it brings about.
func (u *modelUser) apply(e *workload.Event) []outcome {
	switch e.Type {
	case "view", "add_to_cart", "purchase", "signup", "closed", "click", "search", "consent":
	default:
		return nil // nothing reads it
	}
	if slices.Contains(u.recent, e.ID) {
		return nil
	}
	u.recent = append(u.recent, e.ID)
	if len(u.recent) > remembered {
		u.recent = u.recent[1:]
	}
	u.newest = max(u.newest, e.Time)
	switch e.Type {
	case "consent":
		u.ads, _ = e.Fields["ads"].(bool)
	case "purchase":
		u.orders++
	}
	out := u.cancel(e)
	var click *modelInstance
	if e.Type == "click" {
		if i := u.find("welcome", ""); i >= 0 {
			if in := u.pending[i]; in.stage == waitsForClick && e.Time < in.due && e.Text("item") == in.item {
				click = in
			}
		}
	}
	if x := u.exposed; e.Type == "purchase" && x != nil && e.Time > x.at && e.Time <= x.at+goalWithin {
		out = append(out, outcome{decision: "converted", rule: x.rule, trigger: e.ID, due: e.Time, at: e.Time, arm: x.arm, again: x.converted})
		x.converted = true
	}
	out = append(out, u.start(e)...)
	if click != nil {
		click.stage, click.due = 2, e.Time
		out = append(out, u.fire(click, e.Time))
	}
	return out
}

// cancel ends what the event ends.
func (u *modelUser) cancel(e *workload.Event) (out []outcome) {
	u.pending = slices.DeleteFunc(u.pending, func(in *modelInstance) bool {
		ends := false
		switch in.rule {
		case "cart":
			ends = e.Type == "purchase" && e.Text("cart") == in.cart
		case "welcome":
			ends = e.Type == "closed"
		case "searched":
			ends = e.Type == "view"
		}
		if ends {
			out = append(out, in.outcome("cancelled", e.Time))
		}
		return ends
	})
	return out
}

// The stages of welcome beside the numbers of its sends.
const waitsForClick = 10

// start starts what the event starts, and fires what fires at once.
func (u *modelUser) start(e *workload.Event) (out []outcome) {
	in := &modelInstance{trigger: e.ID}
	switch e.Type {
	case "view":
		if price, ok := e.Number("price"); !ok || price < viewedPrice {
			return nil
		}
		in.rule, in.due = "viewed", e.Time
		return []outcome{u.fire(in, e.Time)}
	case "add_to_cart":
		in.rule, in.key, in.cart, in.due = "cart", e.Text("cart"), e.Text("cart"), e.Time+cartWait
		if i := u.find("cart", in.key); i >= 0 {
			u.pending[i] = in
			return nil
		}
	case "purchase":
		in.rule, in.key, in.due = "thanks", e.Text("order"), e.Time+thanksWait
	case "signup":
		if u.find("welcome", "") >= 0 {
			return nil
		}
		in.rule, in.item, in.due = "welcome", e.Text("item"), e.Time
		u.pending = append(u.pending, in)
		return []outcome{u.fire(in, e.Time)}
	case "search":
		in.rule, in.due = "searched", e.Time+searchWait
	default:
		return nil
	}
	if u.find(in.rule, in.key) < 0 {
		u.pending = append(u.pending, in)
	}
	return nil
}

func (u *modelUser) find(rule, key string) int {
	return slices.IndexFunc(u.pending, func(in *modelInstance) bool { return in.rule == rule && in.key == key })
}

func (in *modelInstance) outcome(decision string, at int64) outcome {
	step := 0
	if in.rule == "welcome" {
		if step = in.stage; step == waitsForClick {
			step = 2 // the next in the file, where a cancellation finds it
		}
	}
	return outcome{decision: decision, rule: in.rule, key: in.key, step: step, trigger: in.trigger, due: in.due, at: at}
}

// dueStep is the send that an instance comes to by the clock.
func (in *modelInstance) dueStep() int {
	switch {
	case in.rule != "welcome":
		return 0
	case in.stage == waitsForClick:
		return 3
	}
	return in.stage
}

// fire decides an instance at a moment, and leads it on.
func (u *modelUser) fire(in *modelInstance, at int64) outcome {
	in.stage = in.dueStep()
	o := in.outcome("", at)
	ad := true
	switch in.rule {
	case "thanks":
		ad = false
	case "welcome":
		ad = in.stage == 1 || in.stage == 3
	}
	o.decision = u.judge(in, at, ad)
	if in.rule == "cart" {
		switch o.decision {
		case "holdout":
			o.arm = "holdout"
		case "control", "sent":
			o.arm = couponArm(u.name)
		}
	}
	if o.decision == "sent" || o.decision == "control" {
		u.lastSent[in.rule] = max(u.lastSent[in.rule], at)
		if ad {
			u.adTimes = append(u.adTimes, at)
		}
	}
	if o.arm != "" && u.exposed == nil {
		u.exposed = &modelExposure{at: at, arm: o.arm, rule: in.rule}
	}
	goesOn := in.rule == "welcome" && o.decision != "holdout" && in.stage < 2
	switch {
	case !goesOn:
		u.pending = slices.DeleteFunc(u.pending, func(p *modelInstance) bool { return p == in })
	case in.stage == 0:
		in.stage, in.due = 1, at+tipsWait
	case in.stage == 1:
		in.stage, in.due = waitsForClick, at+clickWithin
	}
	return o
}

// judge asks what may hold a message back.
func (u *modelUser) judge(in *modelInstance, at int64, ad bool) string {
	cooldown := map[string]int64{"viewed": viewedCooldown, "cart": cartCooldown}[in.rule]
	last, sentBefore := u.lastSent[in.rule]
	recent := 0
	for _, t := range u.adTimes {
		if t > u.clock(at)-capPer {
			recent++
		}
	}
	switch {
	case in.rule == "searched" && at-in.due > searchExpires:
		return "expired"
	case in.rule == "searched" && u.orders > 0:
		return "condition"
	case cooldown > 0 && sentBefore && u.clock(at)-last < cooldown:
		return "cooldown"
	case ad && !u.ads:
		return "consent"
	case ad && recent >= capMax:
		return "cap"
	case inHoldout(u.name):
		return "holdout"
	case in.rule == "cart" && couponArm(u.name) == "control":
		return "control"
	}
	return "sent"
}

// nextDue is the pending instance that is due first.
func (u *modelUser) nextDue() *modelInstance {
	if len(u.pending) == 0 {
		return nil
	}
	return slices.MinFunc(u.pending, func(a, b *modelInstance) int { return cmp.Compare(a.due, b.due) })
}
